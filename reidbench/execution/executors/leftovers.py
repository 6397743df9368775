"""Processes that a stage in this process leaves running: killed after the stage, as a worker's are with the worker."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter

from .limits import below, kill, processes

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37  # linux/prctl.h
ROUNDS = 50  # scans for processes left behind, and for those started while they are being killed
PAUSE = 0.01  # seconds between scans
# Helper processes that Python, or joblib for scikit-learn, keeps for the whole process: (module, path of the pid).
HELPERS = (
    ("multiprocessing.resource_tracker", "_resource_tracker._pid"),
    ("multiprocessing.forkserver", "_forkserver._forkserver_pid"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker._pid"),
)


@contextmanager
def no_leftovers() -> Iterator[None]:
    """Kill processes started below this process during the block and left when it ends, detached or not.

    On Linux, detached processes become children of this process meanwhile. Earlier processes, their children and
    Python's helpers survive; processes started by another thread of this process count as the block's. Without /proc
    nothing is killed.
    """
    before = descendants()
    _ADOPTION.begin()
    try:
        yield
    finally:
        _end_all_but(before)
        _ADOPTION.end()


def descendants() -> set[int]:
    """Return the live descendants of this process."""
    return below({os.getpid()}, list(processes())) if _has_children() else set()


def _has_children() -> bool:
    """Return whether there are children, dead or alive; usually there are none, which saves a scan of all processes."""
    if sys.platform != "linux":  # nothing adopts orphans there
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class _Adoption:
    """Adoption of orphans by this process: enabled from the first block of all threads to the last, then restored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._before = 0

    def begin(self) -> None:
        """Enter a block."""
        with self._lock:
            if not self._blocks:
                self._before = _adopt(1)
            self._blocks += 1

    def end(self) -> None:
        """Leave a block."""
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                _adopt(self._before)


_ADOPTION = _Adoption()


def _adopt(whether: int) -> int:
    """Make orphaned descendants children of this process, or not. Returns the previous state."""
    before = ctypes.c_int(0)
    with suppress(OSError, AttributeError):  # without prctl
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before))
        prctl(PR_SET_CHILD_SUBREAPER, whether)
    return before.value


def _end_all_but(before: set[int]) -> None:
    killed: set[int] = set()
    for _ in range(ROUNDS):
        left = _left(before) if _has_children() else set()
        for pid in left:
            kill(pid)
        killed |= left
        for pid in killed:
            with suppress(ChildProcessError):  # not a child of ours, or its parent has already waited for it
                os.waitpid(pid, os.WNOHANG)
        if not left:
            return
        time.sleep(PAUSE)


def _left(before: set[int]) -> set[int]:
    """Return new descendants of this process, except those of processes in `before`."""
    living, helpers = list(processes()), _helpers()
    return below({os.getpid()}, living) - before - below(before - helpers, living) - helpers


def _helpers() -> set[int]:
    found = set()
    for module, place in HELPERS:
        with suppress(KeyError, AttributeError):
            found.add(attrgetter(place)(sys.modules[module]))
    return found - {None}
