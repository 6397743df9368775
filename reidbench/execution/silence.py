"""Notes on running stages that have logged nothing for a long time: by default there is no time limit."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

QUIET = 600.0  # seconds without output of a stage before a note, and between further notes


@dataclass
class _Heard:
    """Last output of a stage: its time, the length of the log then, and the time of the next note."""

    label: str
    log: Path
    size: int
    at: float
    remark_at: float


@dataclass
class Silence:
    """Watches running stages. `note` receives the messages, from a separate thread: a stage may block this one."""

    note: Callable[[str], None]
    _stages: dict[str, _Heard] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, key: str, label: str, log: Path) -> None:
        """Start watching a stage, whose worker writes to `log`."""
        now = time.monotonic()
        with self._lock:
            self._stages[key] = _Heard(label, log, _size(log), now, now + QUIET)

    def heard(self, key: str) -> None:
        """Record a log line, note or progress of a stage."""
        with self._lock:
            if key in self._stages:
                self._stages[key].at = time.monotonic()
                self._stages[key].remark_at = self._stages[key].at + QUIET

    def ended(self, key: str) -> None:
        """Stop watching a stage."""
        with self._lock:
            self._stages.pop(key, None)

    def look(self) -> list[str]:
        """Return the due messages about silent stages."""
        now = time.monotonic()
        with self._lock:
            return [text for heard in self._stages.values() if (text := _remark(heard, now))]

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Check regularly while the block runs."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(min(1.0, QUIET / 4)):
                for text in self.look():
                    self.note(text)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _remark(heard: _Heard, now: float) -> str:
    """Return a message about a stage if one is due, otherwise ""."""
    size = _size(heard.log)
    if size != heard.size:
        heard.size, heard.at, heard.remark_at = size, now, now + QUIET
    if now < heard.remark_at:
        return ""
    heard.remark_at = now + QUIET
    for_long = f"{heard.label} has logged nothing for {(now - heard.at) / 60:.0f} minutes"
    return f"{for_long}; it may hang (its output: {heard.log}; --time-limit ends a stage that takes too long)"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
