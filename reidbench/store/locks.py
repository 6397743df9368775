"""Claims on artifacts: small files that name their owner, which touches them while it is alive."""

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
from reidbench.files.filesystem import NO_FILE, regular_bytes

HEARTBEAT = 10.0  # seconds between heartbeats of a claim
DEAD_AFTER = 120.0  # seconds without a heartbeat after which another host may take over a claim
UNKNOWN = "unknown"  # start time of a live process that cannot be inspected


def identity() -> dict[str, Any]:
    """Return the identity of this process, in a form that another process can check."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "processes": process_table(), "pid": pid, "start": process_start(pid)}


def process_table() -> str | None:
    """Return the scope of pids here: one boot of a kernel and one pid namespace.

    Containers and hosts may share a name and each count processes from 1. None if unknown: without /proc (macOS), or
    with the /proc of another namespace.
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
    """Touch a claim at this interval in seconds while the block runs, and remove it afterwards unless it was lost."""
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
        with contextlib.suppress(OSError):  # a missed heartbeat matters only after DEAD_AFTER
            if holds(file, claim):
                os.utime(file)


def holds(file: Path, claim: str) -> bool:
    """Return whether a claim still belongs to its owner; after a long sleep (laptop, stopped job) it may be lost."""
    return _text(file) == claim


def owner_is_gone(claim: str) -> bool | None:
    """Return whether the process that wrote a claim is gone; None if only its heartbeat can show that."""
    try:
        owner = json.loads(claim)
        pid, start = owner["pid"], owner["start"]
        here = (socket.gethostname(), process_table()) == (owner["host"], owner.get("processes"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True  # claims are written atomically, so an invalid one has no live owner
    if not here or process_table() is None:
        return None
    if type(pid) is not int or not 0 < pid < 2**31:
        return True
    now = process_start(pid)
    return None if now == UNKNOWN else now != start


def owner_in_words(claim: str) -> str:
    """Return who wrote a claim, and since when, by the owner's clock."""
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
    """Return who wrote a claim, as far as readable; "" if it is gone."""
    try:
        return owner_in_words(_text(file) or "")
    except FileNotFoundError:
        return ""


def _text(file: Path) -> str | None:
    """Return the text of a claim, or None if it cannot be read; its heartbeat may still be visible.

    Pipes, sockets, folders and huge files have no text: claims are small files.
    """
    try:
        return regular_bytes(file).decode(errors="replace")
    except FileNotFoundError:
        raise
    except ValueError:
        return ""
    except OSError as error:
        return "" if error.errno in NO_FILE else None


@dataclass(frozen=True)
class _Seen:
    """Last observation of a claim: text, last heartbeat, time of observation, and seconds without change."""

    claim: str | None
    beat: int
    at: float
    unmoved: float = 0.0


class Watch:
    """Distinguishes live from dead claims: by their process if visible, otherwise by their heartbeat.

    A heartbeat is dead after DEAD_AFTER seconds without change on this process's monotonic clock. No other clock is
    used: a clock that jumps, or another host's, would make live claims look old.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, _Seen] = {}

    def gone(self, file: Path) -> bool | None:
        """Return whether a claim's owner is gone; None while its heartbeat may still change."""
        try:
            claim, beat = _text(file), file.lstat().st_mtime_ns
        except FileNotFoundError:
            self._seen.pop(file, None)
            return True
        except OSError:  # its folder cannot be read
            return None
        gone = None if claim is None else owner_is_gone(claim)
        return gone if gone is not None else self._is_still(file, claim, beat) or None

    def _is_still(self, file: Path, claim: str | None, beat: int) -> bool:
        now = time.monotonic()
        before = self._seen.get(file)
        unmoved = 0.0
        if before and (before.claim, before.beat) == (claim, beat):
            # A watcher that was itself suspended, perhaps together with the owner, has observed nothing meanwhile.
            unmoved = before.unmoved + min(now - before.at, HEARTBEAT)
        self._seen[file] = _Seen(claim, beat, now, unmoved)
        return unmoved > DEAD_AFTER


def process_start(pid: int) -> str | None:
    """Return the start time of a process of this host, as the kernel gives it; None if it is gone.

    The start time distinguishes a process from a later one with the same pid. It is UNKNOWN for a live process that
    /proc hides: another user's (`hidepid`), or any without /proc (macOS).
    """
    try:
        # Fields after the command name, which may contain blanks and brackets: state is the 1st, start time the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return UNKNOWN if is_alive(pid) else None
    except ProcessLookupError:
        return None
    except PermissionError:
        return UNKNOWN
    return None if fields[0] in "ZX" else fields[19]
