"""What checking a folder found out, kept in the cache until one of its files changes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# A file changed within this time of being listed may change again with the same size and the same time stamp, so
# that a listing this young proves nothing (git has the same rule).
SETTLED_NS = 2 * 10**9


class Listing:
    """Name, size and times of files: equal listings mean that no file was touched in between."""

    def __init__(self, root: Path, paths: Iterable[str]) -> None:
        digest = hashlib.sha256(os.fsencode(Path(root).absolute()))
        youngest = 0
        for path in sorted(set(paths)):
            try:
                info = os.stat(os.path.join(root, path))  # noqa: PTH116,PTH118 - half a million of them
                mark = f"{info.st_size} {info.st_mtime_ns} {info.st_ctime_ns} {info.st_ino}"
                youngest = max(youngest, info.st_mtime_ns, info.st_ctime_ns)
            except OSError:
                mark = "absent"
            digest.update(f"{path}\0{mark}\n".encode(errors="surrogateescape"))
        self.key = digest.hexdigest()[:32]
        self.settled = time.time_ns() - youngest > SETTLED_NS


def recall(cache: Path, listing: Listing) -> dict[str, Any] | None:
    """What was remembered about exactly these files, or None."""
    file = cache / "checks" / f"{listing.key}.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def remember(cache: Path, listing: Listing, facts: dict[str, Any]) -> None:
    """Keep facts about these files; nothing is kept about files that changed a moment ago."""
    if listing.settled:
        _write(cache / "checks" / f"{listing.key}.json", json.dumps(facts).encode())


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
