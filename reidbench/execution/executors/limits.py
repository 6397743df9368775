"""Time and memory limits of a stage, and killing a worker with all its processes.

Limits do not belong to a stage: they affect whether there is a result, never its value.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from reidbench.errors import ReidbenchError

GIB = 1 << 30
PROC = Path("/proc")
GUARD = Path(__file__).with_name("guard.py")
ROUNDS = 20  # scans for processes that a worker's children start while they are being killed


@dataclass(frozen=True)
class Limits:
    """Limits of one stage in seconds and GiB; None means no limit."""

    seconds: float | None = None
    gib: float | None = None

    def __post_init__(self) -> None:
        """Raise ReidbenchError for impossible limits and for those that this system cannot measure."""
        for name, value in (("time limit", self.seconds), ("memory limit", self.gib)):
            if value is not None and not value > 0:
                raise ReidbenchError(f"a {name} must be more than 0, not {value:g}")
        if self.gib is not None and not sees_processes():
            raise ReidbenchError("a memory limit needs /proc, which this system does not have; omit it")

    def broken(self, pid: int | None, began: float) -> str:
        """Return why a worker must end, or ""; `began` is when it was submitted, by `time.monotonic`."""
        if self.seconds is not None and time.monotonic() - began > self.seconds:
            return f"ran longer than its limit of {self.seconds:g} s"
        if self.gib is not None and pid is not None and sum(family(pid).values()) > self.gib * GIB:
            return f"used more than its limit of {self.gib:g} GiB"
        return ""


def sees_processes() -> bool:
    """Return whether the system shows processes: on Linux, /proc may be missing or of another pid namespace."""
    try:
        return sys.platform != "linux" or str((PROC / "self").readlink()) == str(os.getpid())
    except OSError:
        return False


def guarded(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `python -m reidbench.MODULE ARGUMENT...` as a worker.

    On Linux it runs under a guard (see `guard`), which also kills detached processes of the worker; without /proc only
    the worker's process group ends with it.
    """
    if sys.platform == "linux" and sees_processes():
        return [sys.executable, "-I", "-S", str(GUARD), sys.executable, module, *arguments]
    return [sys.executable, "-m", f"reidbench.{module}", *arguments]


def guarded_program(command: list[str]) -> list[str]:
    """Return the command that runs any program under a guard, which ends when its standard input closes.

    Unchanged without /proc: then only the program's process group ends with it.
    """
    if sys.platform == "linux" and sees_processes():
        return [sys.executable, "-I", "-S", str(GUARD), "--", *command]
    return command


@dataclass(frozen=True)
class Process:
    """Live process: its parent and its session."""

    pid: int
    parent: int
    session: int


def processes() -> Iterator[Process]:
    """Yield all live processes; none if the system does not show them (see `sees_processes`)."""
    for process in psutil.process_iter() if sees_processes() else ():
        with contextlib.suppress(psutil.Error, OSError):  # it has just ended, or is another user's
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                yield Process(process.pid, process.ppid(), os.getsid(process.pid))


def family(pid: int) -> dict[int, int]:
    """Return the memory in bytes, by pid, of everything in a worker's session and of its descendants.

    `pid` leads the session. Shared pages are divided among their processes, so the sum counts them once and hardly
    includes what a worker shares with the server that forked it. Empty if the system does not show processes.
    """
    found = {}
    for member in members(pid):
        with contextlib.suppress(psutil.Error):
            found[member] = _memory(psutil.Process(member))
    return found


def _memory(process: psutil.Process) -> int:
    """Return a process's share of resident memory; all of it if the system does not report shares."""
    with contextlib.suppress(psutil.AccessDenied, AttributeError):  # another user's; macOS
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)


def members(pid: int) -> set[int]:
    """Return everything in the session that `pid` leads and its descendants."""
    living = list(processes())
    leading = {process.pid for process in living if process.session == pid}
    return leading | below(leading, living)


def below(roots: set[int], living: list[Process]) -> set[int]:
    """Return the descendants of some processes, without these processes."""
    found = more = set(roots)
    while more:
        more = {process.pid for process in living if process.parent in more} - found
        found = found | more
    return found - roots


def end(pid: int) -> None:
    """Kill a worker that leads its session, and everything it started, until nothing is left.

    The leader is killed last: it may be a guard, which adopts the orphans.
    """
    for _ in range(ROUNDS):
        living = members(pid)
        if not living:
            break
        for member in living - {pid} or {pid}:
            kill(member)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill(pid: int) -> None:
    """Kill a process, if it exists and may be killed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
