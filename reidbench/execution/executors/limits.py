"""How long a stage may run and how much memory it may use, and how a worker is ended with all that it started.

Limits are no part of a stage: they change whether there is a result, never which.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass

import psutil

from reidbench.errors import ReidbenchError

GIB = 1 << 30
ROUNDS = 20  # scans for what a worker's children start while they are being killed


@dataclass(frozen=True)
class Limits:
    """Seconds and GiB that one stage may take; None is no limit."""

    seconds: float | None = None
    gib: float | None = None

    def __post_init__(self) -> None:
        """Raise ReidbenchError for limits that nothing can meet or that this system cannot measure."""
        for name, value in (("time limit", self.seconds), ("memory limit", self.gib)):
            if value is not None and not value > 0:
                raise ReidbenchError(f"a {name} must be more than 0, got {value:g}")
        if self.gib is not None and not family(os.getsid(0)):
            raise ReidbenchError("a memory limit needs /proc, which this system does not have; leave it out")

    def broken(self, pid: int, began: float) -> str:
        """Why a worker has to end, or "": `began` is when it started, by `time.monotonic`."""
        if self.seconds is not None and time.monotonic() - began > self.seconds:
            return f"ran longer than its limit of {self.seconds:g} s"
        if self.gib is not None and sum(family(pid).values()) > self.gib * GIB:
            return f"used more than its limit of {self.gib:g} GiB"
        return ""


def family(pid: int) -> dict[int, int]:
    """Resident bytes by pid of all that lives in a worker's session or descends from it.

    `pid` leads the session. Pages that two processes share count twice. Empty where the system shows no processes, as
    Linux without /proc.
    """
    parents = {}
    with contextlib.suppress(OSError, IndexError):  # psutil raises both where /proc is missing or empty
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):  # it ended while we looked, or is another user's
                parents[process.pid] = process.ppid()
    found = {member for member in parents if _session(member) == pid}
    more = found
    while more:
        more = {member for member, parent in parents.items() if parent in found} - found
        found |= more
    resident = {}
    for member in found:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(member)
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                resident[member] = process.memory_info().rss
    return resident


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def end(pid: int) -> None:
    """Kill a worker that leads its session, and whatever it started, until nothing of it lives."""
    for _ in range(ROUNDS):
        members = family(pid)  # before a parent dies, which would hide its children
        for member in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not members:
            return
        time.sleep(0.01)
