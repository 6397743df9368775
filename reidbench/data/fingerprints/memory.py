"""The file names of whole copies that were checked here, kept in the cache."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path


def recall_names(cache: Path, name: str) -> list[str] | None:
    """The paths of the last whole copy of a data set that was checked here, or None."""
    file = cache / "checks" / f"{name}.names.gz"
    try:
        return gzip.decompress(file.read_bytes()).decode(errors="surrogateescape").split("\n")
    except (OSError, EOFError, zlib.error, ValueError):
        return None


def remember_names(cache: Path, name: str, paths: Iterable[str]) -> None:
    """Keep the paths of a whole copy, so that a later check can name what is gone."""
    _write(
        cache / "checks" / f"{name}.names.gz",
        gzip.compress("\n".join(sorted(paths)).encode(errors="surrogateescape"), mtime=0),
    )


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    os.replace(temporary, file)
