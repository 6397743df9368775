"""Who makes an artifact: a small file that names its owner and is touched while that lives."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

HEARTBEAT = 10.0  # seconds between signs of life of a claim
DEAD_AFTER = 120.0  # seconds without one, after which another host may take a claim over


def identity() -> dict[str, Any]:
    """This process, in words that another process can check."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "start": process_start(os.getpid())}


def heartbeat(file: Path, claim: str, stop: threading.Event, seconds: float) -> None:
    """Touch a claim every so many seconds until told to stop."""
    while not stop.wait(seconds):
        with contextlib.suppress(OSError):  # a missed beat matters only after DEAD_AFTER
            if holds(file, claim):
                os.utime(file)


def holds(file: Path, claim: str) -> bool:
    """Whether a claim is still its owner's: one that slept for long (a laptop, a stopped job) may have lost it."""
    return file.read_text() == claim


def is_dead(file: Path, now: float | None = None) -> bool:
    """Whether a claim's owner is gone: by pid and start time on this host, by its heartbeat on another.

    `now` is the time by the clock that stamps the file; without it, this host's.
    """
    try:
        owner = json.loads(file.read_text())
        if owner["host"] == socket.gethostname():
            return bool(process_start(int(owner["pid"])) != owner["start"])
        return (time.time() if now is None else now) - file.stat().st_mtime > DEAD_AFTER
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):
        return True  # claims are written whole, so an unreadable one is of no living owner


def forgive_the_future(file: Path, now: float) -> None:
    """Move a heartbeat that is later than now to now: somebody has set the clock back.

    A living owner has DEAD_AFTER for its next one, and a dead one loses its claim thereafter, not when the clock
    has caught up.
    """
    with contextlib.suppress(FileNotFoundError):
        if file.stat().st_mtime > now + HEARTBEAT:
            os.utime(file)


def write_whole(file: Path, text: str) -> None:
    """Replace a small file in one step, so that no reader sees half of it."""
    beside = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        beside.write_text(text)
        os.replace(beside, file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def process_start(pid: int) -> str | None:
    """When a process of this host started, in the kernel's own words, or None when it is gone.

    The start time tells a process from a later one with the same pid. Without /proc (macOS) it is unknown, and
    any living process with that pid counts as the owner.
    """
    try:
        # Fields after the command name, which may hold blanks and brackets: state is the 1st, start time the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return "unknown"
    except ProcessLookupError:
        return None
    return None if fields[0] in "ZX" else fields[19]
