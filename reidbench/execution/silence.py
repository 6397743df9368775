"""Says which running stages have logged nothing for long: they may hang, and no time limit ends them by default."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

QUIET = 600.0  # seconds without a word of a stage, after which that is said, and again after as many


@dataclass
class _Heard:
    """The last sign of a stage: when it came, how long its log was, and when its silence is remarked on next."""

    label: str
    log: Path
    size: int
    at: float
    remark_at: float


@dataclass
class Silence:
    """Watches running stages. `note` gets the sentences, from a thread of its own: a stage may block this one."""

    note: Callable[[str], None]
    _stages: dict[str, _Heard] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, key: str, label: str, log: Path) -> None:
        """A stage starts, whose worker writes to `log`."""
        now = time.monotonic()
        with self._lock:
            self._stages[key] = _Heard(label, log, _size(log), now, now + QUIET)

    def heard(self, key: str) -> None:
        """A stage has logged or noted something, or has progressed."""
        with self._lock:
            if key in self._stages:
                self._stages[key].at = time.monotonic()
                self._stages[key].remark_at = self._stages[key].at + QUIET

    def ended(self, key: str) -> None:
        """A stage runs no longer."""
        with self._lock:
            self._stages.pop(key, None)

    def look(self) -> list[str]:
        """What to say now of stages that are silent."""
        now = time.monotonic()
        with self._lock:
            return [text for heard in self._stages.values() if (text := _remark(heard, now))]

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look again and again while the block runs."""
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
    """A sentence about a stage whose silence is due for one, or an empty text."""
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
