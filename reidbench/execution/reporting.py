"""Write the progress of running stages to the store for `reidbench status` and `watch`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reidbench.store import progress
from reidbench.store.artifacts import Store
from reidbench.store.progress import Progress

EVERY = 2.0  # seconds between two writes for one stage


@dataclass
class Pace:
    """Progress of one stage from its events."""

    progress: Progress = field(default_factory=Progress)
    first: tuple[float, float] = (0.0, 0.0)  # time and units done at the start of this count
    written: float = 0.0

    def heard(self, event: Mapping[str, Any]) -> bool:
        """Add an event; returns whether it changes the progress. A new total, or a lower count, starts a new pace."""
        before = self.progress
        if event["event"] == "log" and isinstance(event.get("metrics"), Mapping):
            self.progress = Progress(before.done, before.total, before.pace, dict(event["metrics"]))
            return True
        if not is_progress(event):
            return False
        now, done, total = time.monotonic(), float(event["done"]), float(event["total"])
        if total != before.total or done < before.done or not self.first[0]:
            self.first = now, done
        ran, units = now - self.first[0], done - self.first[1]
        self.progress = Progress(done, total, ran / units if units > 0 else None, before.metrics)
        return True


class Reports:
    """Progress of the stages of one run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.paces: dict[str, Pace] = {}

    def started(self, key: str) -> None:
        """Reset the progress of a stage that starts, which an earlier run may have reported."""
        self.paces[key] = Pace()
        progress.remove(self.store, key)

    def heard(self, key: str, event: Mapping[str, Any]) -> None:
        """Add an event of a stage, and write its progress at intervals."""
        pace = self.paces.setdefault(key, Pace())
        if pace.heard(event) and time.monotonic() - pace.written >= EVERY:
            pace.written = time.monotonic()
            progress.write(self.store, key, pace.progress)

    def of(self, key: str) -> Progress:
        """Return the progress of a running stage."""
        return self.paces[key].progress if key in self.paces else Progress()

    def ended(self, key: str) -> None:
        """Remove the progress of a stage that has ended."""
        self.paces.pop(key, None)
        progress.remove(self.store, key)


def is_progress(event: Mapping[str, Any]) -> bool:
    """Return whether an event is progress with numbers that can be drawn: methods may report anything."""
    return event["event"] == "progress" and all(_drawable(event.get(name)) for name in ("done", "total"))


def _drawable(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < progress.MOST  # type: ignore[operator]
