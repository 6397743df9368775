"""The file names of whole copies that were checked here, kept in the cache."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

from reidbench.files.atomic import write_whole


def recall_names(cache: Path, name: str) -> list[str] | None:
    """The paths of the last whole copy of a data set that was checked here, or None."""
    file = cache / "checks" / f"{name}.names.gz"
    try:
        return gzip.decompress(file.read_bytes()).decode(errors="surrogateescape").split("\n")
    except (OSError, EOFError, zlib.error, ValueError):
        return None


def remember_names(cache: Path, name: str, paths: Iterable[str]) -> None:
    """Keep the paths of a whole copy, so that a later check can name what is gone."""
    file = cache / "checks" / f"{name}.names.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, gzip.compress("\n".join(sorted(paths)).encode(errors="surrogateescape"), mtime=0))
