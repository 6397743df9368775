"""Safe access to files of a store: foreign, unreadable, of a different type, or in place of a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

NO_FILE = (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)  # for loops of links, sockets and devices
LARGEST = 1 << 28  # bytes of a manifest: more than a million files
FOREIGN = ("lost+found", ".DS_Store", "Thumbs.db", "desktop.ini", ".directory", "@eaDir", ".snapshot", ".Trashes")
FOREIGN_BEGINNINGS = ("._", ".nfs", ".fuse_hidden", ".Trash-")


def in_the_way(error: OSError) -> str:
    """Return which file is in place of a folder, for an error of that kind."""
    if isinstance(error, IsADirectoryError):
        return f" ({error.filename2 or error.filename} is a folder and must be a file)"
    kinds = (FileExistsError, NotADirectoryError)
    return f" ({error.filename} is a file, or in one, and must be a folder)" if isinstance(error, kinds) else ""


def is_foreign(name: str) -> bool:
    """Return whether file systems or desktops, not runs, create files or folders of that name."""
    return name in FOREIGN or name.startswith(FOREIGN_BEGINNINGS)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; False for loops of links."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def regular_bytes(file: Path | str, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file. Raises ValueError for other types (opening a fifo would block) and huge
    files.

    The opened file itself is checked, so it cannot be swapped in between.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
            raise ValueError(file)
        parts = []
        while part := os.read(descriptor, found.st_size + 1):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def own_lock(file: Path) -> int:
    """Return a descriptor of a lock file, created if missing; keeps its content. Raises ValueError for other types."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (*NO_FILE, errno.EISDIR):
            raise ValueError(file) from None
        raise


def appended(file: Path) -> BinaryIO:
    """Open a regular file for appending, created if missing. Raises ValueError for other types."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags, 0o666)
    except OSError as error:
        if error.errno in (*NO_FILE, errno.EISDIR, errno.ENOENT):  # ENOENT: a link with an impossible target
            raise ValueError(file) from None
        raise
    stream = open(descriptor, "ab")  # noqa: PTH123, SIM115 - a descriptor, which the caller closes
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise ValueError(file)
    return stream


def discard(path: Path) -> None:
    """Remove a folder, or anything else, as far as the system permits; `rmtree` alone would block on a pipe."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def unreadable(file: Path, error: OSError) -> str:
    """Return an error about a file that this user may not read."""
    return (
        f"{file}: cannot be read: {error.strerror or error}; if another user made it, let that user run "
        "`chmod -R a+rX` on the store, or use your own store (--store)"
    )
