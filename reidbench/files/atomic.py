"""Files and folders that appear whole or not at all: made beside their place, then renamed into it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DAY = 24 * 3600.0


@contextmanager
def written_whole(place: Path, beside: Path | None = None) -> Iterator[Path]:
    """Give a free name beside `place` for a file or folder, which replaces `place` when the block ends well.

    After an error nothing is left of it. `beside` names it where only one process writes, so that what a killed one
    left is overwritten. Raises OSError.
    """
    beside = beside or place.with_name(f".{_short(place)}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield beside
        os.replace(beside, place)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)  # where it is a folder
        with suppress(OSError):
            beside.unlink()
        raise


def write_whole(file: Path, data: bytes) -> None:
    """Replace a file in one step, so that no reader sees half of it. Raises OSError."""
    with written_whole(file) as beside:
        beside.write_bytes(data)


@contextmanager
def whole_folder(destination: Path, mode: int = 0o777) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `destination` when the block ends without an error.

    If another process was faster its folder stays and ours is dropped, so look at what `destination` holds
    afterwards. What dead processes left half-filled is removed first. Raises OSError.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    _sweep(destination)
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    unfinished = destination.parent / f"{_prefix(destination)}{owner}"
    unfinished.mkdir(mode)
    try:
        yield unfinished
        rename_whole(unfinished, destination, lambda: not is_empty(destination))
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def rename_whole(unfinished: Path, destination: Path, is_there: Callable[[], bool]) -> None:
    """Rename a filled folder into place; `is_there` says whether a faster process's equal one stays instead.

    Raises OSError. A folder with something in it is never replaced.
    """
    try:
        unfinished.rename(destination)
    except OSError:
        if not is_there():
            raise


def is_empty(folder: Path) -> bool:
    """Whether nothing is there: no folder, or one without entries."""
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def flush(path: Path) -> None:
    """Have the disk take what was written to a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _short(place: Path) -> str:
    """A name's beginning, which leaves room for an addition within the 255 bytes of a file name."""
    return place.name[:40]


def _prefix(destination: Path) -> str:
    return f".{_short(destination)}.part-"


def _sweep(destination: Path) -> None:
    for folder in destination.parent.iterdir():
        if folder.name.startswith(_prefix(destination)) and _is_abandoned(folder, _prefix(destination)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path, prefix: str) -> bool:
    """On this host the owner must be dead; of other hosts only the folder's age can tell."""
    host, _, pid = folder.name.removeprefix(prefix).rpartition("-")[0].rpartition("-")
    if host == socket.gethostname() and pid.isdigit():
        return not is_alive(int(pid))
    try:
        return time.time() - folder.stat().st_mtime > _DAY
    except FileNotFoundError:  # its owner has just finished
        return False


def is_alive(pid: int) -> bool:
    """Whether a process of this host has that number."""
    try:
        os.kill(pid, 0)
    except PermissionError:  # alive, and somebody else's
        return True
    except (OSError, OverflowError):  # no process, or no number of one
        return False
    return True
