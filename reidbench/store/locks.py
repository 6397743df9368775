"""Who makes an artifact: a small file that names its owner and is touched while that lives."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.files.atomic import is_alive

HEARTBEAT = 10.0  # seconds between signs of life of a claim
DEAD_AFTER = 120.0  # seconds without one, after which another host may take a claim over
UNKNOWN = "unknown"  # the start time of a process that lives but cannot be looked at


def identity() -> dict[str, Any]:
    """This process, in words that another process can check."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "processes": process_table(), "pid": pid, "start": process_start(pid)}


def process_table() -> str | None:
    """Which processes pids stand for here: those of one boot of a kernel, in one pid namespace.

    Containers, and hosts, may share a name and count their processes from 1 each. None where it is unknown: without
    /proc (macOS), or with the /proc of another namespace.
    """
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


@contextlib.contextmanager
def beating(file: Path, claim: str, seconds: float) -> Iterator[None]:
    """Touch a claim every so many seconds while the block runs, and remove it afterwards if it is still this one."""
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(file, claim, stop, seconds), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        with contextlib.suppress(OSError):  # without it the claim ends with this process
            if holds(file, claim):
                file.unlink()


def _beat(file: Path, claim: str, stop: threading.Event, seconds: float) -> None:
    while not stop.wait(seconds):
        with contextlib.suppress(OSError):  # a missed beat matters only after DEAD_AFTER
            if holds(file, claim):
                os.utime(file)


def holds(file: Path, claim: str) -> bool:
    """Whether a claim is still its owner's: one that slept for long (a laptop, a stopped job) may have lost it."""
    return file.read_text() == claim


def owner_is_gone(claim: str) -> bool | None:
    """Whether the process that wrote a claim is gone, or None where only its heartbeat can show that."""
    try:
        owner = json.loads(claim)
        pid, start = owner["pid"], owner["start"]
        here = (socket.gethostname(), process_table()) == (owner["host"], owner.get("processes"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True  # claims are written whole, so an unreadable one is of no living owner
    if not here or process_table() is None:
        return None
    if type(pid) is not int or not 0 < pid < 2**31:
        return True
    now = process_start(pid)
    return None if now == UNKNOWN else now != start


def owner_in_words(claim: str) -> str:
    """Who wrote a claim, and since when it has been held by its own clock."""
    try:
        owner = json.loads(claim)
        words = f"{str(owner['host'])[:100]} (process {str(owner['pid'])[:20]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "an unknown process"
    since = owner.get("since")
    if type(since) is int and 0 < since < 2**63:
        words += time.strftime(", since %Y-%m-%d %H:%M:%S UTC", time.gmtime(since // 10**9))
    return f"{words})"


def owner_of(file: Path) -> str:
    """In words, who wrote a claim, as far as it can be read; an empty text when it is gone."""
    try:
        return owner_in_words(_text(file) or "")
    except FileNotFoundError:
        return ""


def _text(file: Path) -> str | None:
    """What a claim says, or None where it cannot be read: its heartbeat can be seen all the same."""
    try:
        return file.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        raise
    except OSError:
        return None


@dataclass(frozen=True)
class _Seen:
    """A claim as it was seen last: its text, its last beat, when that was, and for how long it had not moved."""

    claim: str | None
    beat: int
    at: float
    unmoved: float = 0.0


class Watch:
    """Tells living claims from dead ones: by their process where it can be seen, else by their heartbeat.

    A heartbeat is dead when it has been seen not to move for DEAD_AFTER seconds of this process's monotonic clock. No
    other clock counts: one that jumps, or that of another host, makes living claims look old.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, _Seen] = {}

    def gone(self, file: Path) -> bool | None:
        """Whether a claim's owner is gone; None while its heartbeat may still move."""
        try:
            claim, beat = _text(file), file.stat().st_mtime_ns
        except FileNotFoundError:
            self._seen.pop(file, None)
            return True
        except OSError:  # its folder cannot be looked into
            return None
        gone = None if claim is None else owner_is_gone(claim)
        return gone if gone is not None else self._is_still(file, claim, beat) or None

    def _is_still(self, file: Path, claim: str | None, beat: int) -> bool:
        now = time.monotonic()
        before = self._seen.get(file)
        unmoved = 0.0
        if before and (before.claim, before.beat) == (claim, beat):
            # A watcher that was stopped itself, perhaps together with the owner, has not seen anything meanwhile.
            unmoved = before.unmoved + min(now - before.at, HEARTBEAT)
        self._seen[file] = _Seen(claim, beat, now, unmoved)
        return unmoved > DEAD_AFTER


def process_start(pid: int) -> str | None:
    """When a process of this host started, in the kernel's own words, or None when it is gone.

    The start time tells a process from a later one with the same pid. It is UNKNOWN of a living process that /proc
    does not show: another user's (`hidepid`), or any where there is no /proc (macOS).
    """
    try:
        # Fields after the command name, which may hold blanks and brackets: state is the 1st, start time the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return UNKNOWN if is_alive(pid) else None
    except ProcessLookupError:
        return None
    except PermissionError:
        return UNKNOWN
    return None if fields[0] in "ZX" else fields[19]
