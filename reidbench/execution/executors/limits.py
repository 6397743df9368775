"""How long a stage may run and how much memory it may use, and how a worker is ended with all that it started.

Limits are no part of a stage: they change whether there is a result, never which.
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
        if self.gib is not None and not sees_processes():
            raise ReidbenchError("a memory limit needs /proc, which this system does not have; leave it out")

    def broken(self, pid: int | None, began: float) -> str:
        """Why a worker has to end, or "": `began` is when it was asked for, by `time.monotonic`."""
        if self.seconds is not None and time.monotonic() - began > self.seconds:
            return f"ran longer than its limit of {self.seconds:g} s"
        if self.gib is not None and pid is not None and sum(family(pid).values()) > self.gib * GIB:
            return f"used more than its limit of {self.gib:g} GiB"
        return ""


def sees_processes() -> bool:
    """Whether the system shows the processes: on Linux, /proc may be missing or be another pid namespace's."""
    try:
        return sys.platform != "linux" or str((PROC / "self").readlink()) == str(os.getpid())
    except OSError:
        return False


def guarded(module: str, *arguments: str) -> list[str]:
    """The command that runs `python -m reidbench.MODULE ARGUMENT...` as a worker.

    On Linux under a guard (see `guard`), which ends all that the worker started, also what has detached itself; where
    there is no /proc only the worker's process group ends with it.
    """
    if sys.platform == "linux" and sees_processes():
        return [sys.executable, "-I", "-S", str(GUARD), sys.executable, module, *arguments]
    return [sys.executable, "-m", f"reidbench.{module}", *arguments]


def guarded_program(command: list[str]) -> list[str]:
    """The command that runs any program under a guard, which ends with the process that holds its standard input.

    As it is where there is no /proc: then only the program's process group ends with it.
    """
    if sys.platform == "linux" and sees_processes():
        return [sys.executable, "-I", "-S", str(GUARD), "--", *command]
    return command


@dataclass(frozen=True)
class Process:
    """One that lives: its parent and its session."""

    pid: int
    parent: int
    session: int


def processes() -> Iterator[Process]:
    """All that live. None where the system shows none (see `sees_processes`)."""
    for process in psutil.process_iter() if sees_processes() else ():
        with contextlib.suppress(psutil.Error, OSError):  # it ended while we looked, or is another user's
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                yield Process(process.pid, process.ppid(), os.getsid(process.pid))


def family(pid: int) -> dict[int, int]:
    """Bytes of memory by pid of all that lives in a worker's session or descends from it.

    `pid` leads the session. Of a page that several processes share each has its part, so that their sum counts it once
    and what a worker shares with the server that forked it hardly counts. Empty where the system shows no processes.
    """
    found = {}
    for member in members(pid):
        with contextlib.suppress(psutil.Error):
            found[member] = _memory(psutil.Process(member))
    return found


def _memory(process: psutil.Process) -> int:
    """Its part of what is resident; all of that where the system does not tell parts."""
    with contextlib.suppress(psutil.AccessDenied, AttributeError):  # another user's; macOS
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)


def members(pid: int) -> set[int]:
    """All that lives in the session that `pid` leads or descends from it."""
    living = list(processes())
    leading = {process.pid for process in living if process.session == pid}
    return leading | below(leading, living)


def below(roots: set[int], living: list[Process]) -> set[int]:
    """The descendants of some processes that are not among them."""
    found = more = set(roots)
    while more:
        more = {process.pid for process in living if process.parent in more} - found
        found = found | more
    return found - roots


def end(pid: int) -> None:
    """Kill a worker that leads its session, and whatever it started, until nothing of it lives.

    The leader is killed last: it may be a guard, whose children the orphans become.
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
    """Kill a process, if it is there and may be killed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
