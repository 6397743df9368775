"""Files of a store as the file system gives them: foreign, unreadable, of another kind, in the way of a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

NO_FILE = (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)  # of links in a circle, sockets and devices
LARGEST = 1 << 28  # bytes of a manifest: more than a million files
FOREIGN = ("lost+found", ".DS_Store", "Thumbs.db", "desktop.ini", ".directory", "@eaDir", ".snapshot", ".Trashes")
FOREIGN_BEGINNINGS = ("._", ".nfs", ".fuse_hidden", ".Trash-")


def in_the_way(error: OSError) -> str:
    """Which file stands where a folder belongs, for an error of that kind."""
    if isinstance(error, IsADirectoryError):
        return f" ({error.filename2 or error.filename} is a folder where a file belongs)"
    kinds = (FileExistsError, NotADirectoryError)
    return f" ({error.filename} is a file, or in one, where a folder belongs)" if isinstance(error, kinds) else ""


def is_foreign(name: str) -> bool:
    """Whether a file system or a desktop, and no run, leaves a file or folder of that name in any folder."""
    return name in FOREIGN or name.startswith(FOREIGN_BEGINNINGS)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; links in a circle are none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def regular_bytes(file: Path | str, largest: int = LARGEST) -> bytes:
    """The content of a regular file. Raises ValueError for another kind (opening a fifo would wait) and for a huge one.

    What is opened is what is looked at, so nobody can exchange it in between.
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
    """A descriptor of a lock file, made if it is not there; what is in it stays. Raises ValueError for no file."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (*NO_FILE, errno.EISDIR):
            raise ValueError(file) from None
        raise


def appended(file: Path) -> BinaryIO:
    """A regular file to append to, made if it is not there. Raises ValueError for another kind."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags, 0o666)
    except OSError as error:
        if error.errno in (*NO_FILE, errno.EISDIR, errno.ENOENT):  # ENOENT: a link to where nothing can be
            raise ValueError(file) from None
        raise
    stream = open(descriptor, "ab")  # noqa: PTH123, SIM115 - a descriptor, which the caller closes
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise ValueError(file)
    return stream


def discard(path: Path) -> None:
    """Remove a folder, or whatever else is there, as far as the system lets it: `rmtree` alone waits for a pipe."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def unreadable(file: Path, error: OSError) -> str:
    """A sentence about a file that the system does not let this user read."""
    return (
        f"{file}: cannot be read: {error.strerror or error}; if another user made it, let that user run "
        "`chmod -R a+rX` on the store, or use a store of your own (--store)"
    )
