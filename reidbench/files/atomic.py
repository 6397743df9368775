"""Folders that appear whole or not at all: filled beside their place, then renamed into it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DAY = 24 * 3600.0


@contextmanager
def fresh_folder(destination: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `destination` when the block ends without an error.

    If another process was faster its folder stays and ours is dropped, so look at what `destination` holds
    afterwards. What dead processes left half-filled is removed first.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    _sweep(destination)
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    unfinished = destination.parent / f"{_prefix(destination)}{owner}"
    unfinished.mkdir()
    try:
        yield unfinished
        _move(unfinished, destination)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def is_empty(folder: Path) -> bool:
    """Whether nothing is there: no folder, or one without entries."""
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def _move(unfinished: Path, destination: Path) -> None:
    """Rename into place; a folder with something in it is never replaced."""
    if destination.is_dir() and is_empty(destination):
        destination.rmdir()  # Windows cannot rename onto it
    try:
        unfinished.rename(destination)
    except OSError:
        if is_empty(destination):
            raise


def _prefix(destination: Path) -> str:
    return f".{destination.name}.part-"


def _sweep(destination: Path) -> None:
    for folder in destination.parent.iterdir():
        if folder.name.startswith(_prefix(destination)) and _is_abandoned(folder, _prefix(destination)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path, prefix: str) -> bool:
    """On this host the owner must be dead; of other hosts only the folder's age can tell."""
    host, _, pid = folder.name.removeprefix(prefix).rpartition("-")[0].rpartition("-")
    if host == socket.gethostname() and pid.isdigit() and os.name == "posix":
        return not _is_alive(int(pid))
    try:
        return time.time() - folder.stat().st_mtime > _DAY
    except FileNotFoundError:  # its owner has just finished
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and somebody else's
        return True
    return True
