"""Processes that a stage of this process started and left running: ended after it, as a worker's with the worker."""

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
ROUNDS = 50  # looks for what is left, and for what that starts while it is being killed
PAUSE = 0.01  # seconds between them
# Helpers that Python, or joblib for scikit-learn, keeps for the whole process: (module, where it has the pid).
HELPERS = (
    ("multiprocessing.resource_tracker", "_resource_tracker._pid"),
    ("multiprocessing.forkserver", "_forkserver._forkserver_pid"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker._pid"),
)


@contextmanager
def no_leftovers() -> Iterator[None]:
    """End whatever is started below this process while the block runs and is left when it ends, detached or not.

    On Linux, whatever detaches itself becomes a child of this process meanwhile. Processes of before stay, what they
    start, and Python's own helpers; what another thread of this process starts meanwhile counts as the block's. Without
    /proc nothing is ended.
    """
    before = descendants()
    _ADOPTION.begin()
    try:
        yield
    finally:
        _end_all_but(before)
        _ADOPTION.end()


def descendants() -> set[int]:
    """The living processes below this one."""
    return below({os.getpid()}, list(processes())) if _has_children() else set()


def _has_children() -> bool:
    """Whether there is any, dead or alive; most of the time there is none, and no look at all processes is needed."""
    if sys.platform != "linux":  # nothing adopts orphans there
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class _Adoption:
    """Whether this process adopts orphans: from the first block of all threads to the last, then as it was before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._before = 0

    def begin(self) -> None:
        """A block begins."""
        with self._lock:
            if not self._blocks:
                self._before = _adopt(1)
            self._blocks += 1

    def end(self) -> None:
        """A block has ended."""
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                _adopt(self._before)


_ADOPTION = _Adoption()


def _adopt(whether: int) -> int:
    """Have orphans below this process become its children, or not. How that was before."""
    before = ctypes.c_int(0)
    with suppress(OSError, AttributeError):  # where there is no prctl
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
            with suppress(ChildProcessError):  # not a child of ours, or its starter has waited for it already
                os.waitpid(pid, os.WNOHANG)
        if not left:
            return
        time.sleep(PAUSE)


def _left(before: set[int]) -> set[int]:
    """The processes below this one that were not there before, and that none of those that were has started."""
    living, helpers = list(processes()), _helpers()
    return below({os.getpid()}, living) - before - below(before - helpers, living) - helpers


def _helpers() -> set[int]:
    found = set()
    for module, place in HELPERS:
        with suppress(KeyError, AttributeError):
            found.add(attrgetter(place)(sys.modules[module]))
    return found - {None}
