"""Files of a store as the file system gives them: foreign, unreadable, of another kind, in the way of a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST = 1 << 28  # bytes of a manifest: more than a million files
FOREIGN = ("lost+found", ".DS_Store", "Thumbs.db", "desktop.ini", ".directory", "@eaDir", ".snapshot", ".Trashes")
FOREIGN_BEGINNINGS = ("._", ".nfs", ".fuse_hidden", ".Trash-")


def in_the_way(error: OSError) -> str:
    """Which file stands where a folder belongs, for an error of that kind."""
    kinds = (FileExistsError, NotADirectoryError)
    return f" ({error.filename} is a file, or in one, where a folder belongs)" if isinstance(error, kinds) else ""


def is_foreign(name: str) -> bool:
    """Whether a file system or a desktop, and no run, leaves a file or folder of that name in any folder."""
    return name in FOREIGN or name.startswith(FOREIGN_BEGINNINGS)


def regular_bytes(file: Path) -> bytes:
    """The content of a regular file. Raises ValueError for another kind (opening a fifo would wait) and for a huge one.

    What is opened is what is looked at, so nobody can exchange it in between.
    """
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123 - a descriptor
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise ValueError(file)
        return stream.read()


def unreadable(file: Path, error: OSError) -> str:
    """A sentence about a file that the system does not let this user read."""
    return (
        f"{file}: cannot be read: {error.strerror or error}; if another user made it, let that user run "
        "`chmod -R a+rX` on the store, or use a store of your own (--store)"
    )
