"""Names for the content of data on disk, so that a result knows what it was computed from."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import DataError
from .names import shown

BLOCK = 1 << 20


def fingerprint_files(rows: Iterable[tuple[str, int | str]]) -> str:
    """Hash a manifest of (relative path, size or content hash); the order of the rows does not matter."""
    digest = hashlib.sha256()
    for path, mark in sorted(rows):
        digest.update(f"{path}\0{mark}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def fingerprint_folder(root: Path, *, full: bool = False) -> str:
    """Hash a folder by names and sizes, or with `full` by names and contents. Raises DataError if it is not there."""
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{shown(root)}: no such folder")
    try:
        return fingerprint_files(
            (path, fingerprint_content(root / path) if full else size) for path, size in walk_files(root)
        )
    except OSError as error:
        place = shown(error.filename or root)
        raise DataError(f"{place}: cannot be read: {error.strerror}") from None


def fingerprint_content(file: Path) -> str:
    """sha256 of one file. Raises OSError when it cannot be read, or is a pipe or a device, which may never end."""
    digest = hashlib.sha256()
    file = Path(file)
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "no ordinary file", str(file))
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def walk_files(root: Path) -> Iterator[tuple[str, int]]:
    """(relative path, size) of every file under `root`, hidden ones and Thumbs.db apart. Links are not followed."""
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if is_clutter(entry.name):
                    continue
                path = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                else:
                    yield path, _size(entry)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link that leads nowhere, or in circles
        return entry.stat(follow_symlinks=False).st_size


def is_clutter(name: str) -> bool:
    """Files that a desktop leaves behind and that belong to no data set."""
    return name.startswith(".") or name == "Thumbs.db"
