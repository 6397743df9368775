"""File names of complete copies that were checked on this machine, kept in the cache."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

from reidbench.files.atomic import write_whole


def recall_names(cache: Path, name: str) -> list[str] | None:
    """Paths of the last complete copy of a data set that was checked on this machine, or None."""
    file = cache / "checks" / f"{name}.names.gz"
    try:
        return gzip.decompress(file.read_bytes()).decode(errors="surrogateescape").split("\n")
    except (OSError, EOFError, zlib.error, ValueError):
        return None


def remember_names(cache: Path, name: str, paths: Iterable[str]) -> None:
    """Store the paths of a complete copy, so that a later check can name missing files."""
    file = cache / "checks" / f"{name}.names.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, gzip.compress("\n".join(sorted(paths)).encode(errors="surrogateescape"), mtime=0))
