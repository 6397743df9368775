"""Atomic files and folders: written next to their destination, then renamed."""

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
    """Yield a free name next to `place` for a file or folder, which replaces `place` if the block succeeds.

    After an error nothing is left. Pass `beside` if only one process writes, so that leftovers of a killed process are
    overwritten. Raises OSError.
    """
    beside = beside or place.with_name(f".{_short(place)}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield beside
        os.replace(beside, place)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)  # if it is a folder
        with suppress(OSError):
            beside.unlink()
        raise


def write_whole(file: Path, data: bytes) -> None:
    """Replace a file in one step, so that readers never see part of it. Raises OSError."""
    with written_whole(file) as beside:
        beside.write_bytes(data)


@contextmanager
def whole_folder(destination: Path, mode: int = 0o777) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `destination` if the block succeeds.

    If another process was faster, its folder is kept and this one is dropped, so check `destination` afterwards.
    Incomplete folders of dead processes are removed first. Raises OSError.
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
    """Rename a filled folder to its destination; if `is_there`, keep the identical one of a faster process.

    Raises OSError. A folder with contents is never replaced.
    """
    try:
        unfinished.rename(destination)
    except OSError:
        if not is_there():
            raise


def is_empty(folder: Path) -> bool:
    """Return whether a folder is missing or has no entries."""
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def flush(path: Path) -> None:
    """Flush a file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _short(place: Path) -> str:
    """Return the beginning of a name, short enough for a suffix within the 255 bytes of a file name."""
    return place.name[:40]


def _prefix(destination: Path) -> str:
    return f".{_short(destination)}.part-"


def _sweep(destination: Path) -> None:
    for folder in destination.parent.iterdir():
        if folder.name.startswith(_prefix(destination)) and _is_abandoned(folder, _prefix(destination)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path, prefix: str) -> bool:
    """Return whether a folder's owner is gone: on this host by its process, on other hosts by the folder's age."""
    host, _, pid = folder.name.removeprefix(prefix).rpartition("-")[0].rpartition("-")
    if host == socket.gethostname() and pid.isdigit():
        return not is_alive(int(pid))
    try:
        return time.time() - folder.stat().st_mtime > _DAY
    except FileNotFoundError:  # its owner has just finished
        return False


def is_alive(pid: int) -> bool:
    """Return whether a process with that ID runs on this host."""
    try:
        os.kill(pid, 0)
    except PermissionError:  # alive, and another user's
        return True
    except (OSError, OverflowError):  # no process, or not a process ID
        return False
    return True
