"""Logs, notes, clusterings and work time of a running method, and checks of its clusterings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown_value

# A clustering beyond these limits gets a note: no re-identification data set looks like it.
FEWEST_CLUSTERED = 0.1  # of the images
LARGEST_CLUSTER = 0.5  # of the clustered images
MOST_PROGRESS = 1e15  # a larger float cannot count by ones
LONGEST_NOTE = 2000  # characters of a note


class Clock:
    """Clock for a component's own work, over all its restarts, without the work that the runner does for it."""

    def __init__(self) -> None:
        self.before = 0.0  # up to the last stop or start
        self.since: float | None = None  # on the monotonic clock; None while stopped

    @property
    def seconds(self) -> float:
        return self.before + (0.0 if self.since is None else time.monotonic() - self.since)

    def restore(self, seconds: float) -> None:
        """Continue from the seconds of an earlier process; drops the time before this call."""
        self.before = seconds
        if self.since is not None:
            self.since = time.monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the seconds of the block."""
        with self._set(True):
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the seconds of the block."""
        with self._set(False):
            yield

    @contextmanager
    def _set(self, runs: bool) -> Iterator[None]:
        ran = self.since is not None
        self._switch(runs)
        try:
            yield
        finally:
            self._switch(ran)

    def _switch(self, runs: bool) -> None:
        self.before = self.seconds
        self.since = time.monotonic() if runs else None


def progressed(done: object, total: object) -> dict[str, Any]:
    """Return a progress event. Raises ReidbenchError for anything but two finite numbers."""
    counts = []
    for value in (done, total):
        try:
            number = math.nan if isinstance(value, str | bytes) else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
        if not abs(number) < MOST_PROGRESS:
            raise ReidbenchError(f"ctx.progress takes two numbers, done and total, not {shown_value(value)}")
        counts.append(int(number) if number.is_integer() else number)
    return {"event": "progress", "done": counts[0], "total": counts[1]}


class Record:
    """Logs, notes and clusterings of a method, kept across restarts by the checkpoint."""

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self.emit = emit
        self.lines: list[dict[str, float]] = []
        self.clusters: list[tuple[int, list[int]]] = []
        self.notes: list[str] = []
        self.clock = Clock()

    def log(self, metrics: Mapping[str, float]) -> None:
        try:
            line = {str(name): float(value) for name, value in metrics.items()}
        except (TypeError, ValueError, AttributeError):
            raise ReidbenchError(f"ctx.log takes numbers by name, not {shown_value(metrics)}") from None
        self.lines.append(line)
        self._tell(len(self.lines) - 1)

    def _tell(self, number: int) -> None:
        """Emit the log line of that number."""
        self.emit({"event": "log", "line": number, "metrics": self.lines[number]})

    def record_clusters(self, epoch: int, labels: Any) -> None:
        try:
            self.clusters.append((int(epoch), [int(label) for label in labels]))
        except (TypeError, ValueError, OverflowError):
            given = f"{shown_value(epoch)} and {shown_value(labels)}"
            raise ReidbenchError(f"ctx.record_clusters takes an epoch and whole numbers, not {given}") from None

    def note(self, text: str) -> None:
        if not isinstance(text, str):
            raise ReidbenchError(f"ctx.note takes a sentence, not {shown_value(text)}")
        text = text.strip()
        if len(text) > LONGEST_NOTE:  # notes are printed next to every row, so none may list a whole data set
            text = f"{text[:LONGEST_NOTE]} ... ({len(text) - LONGEST_NOTE} more characters)"
        if text and text not in self.notes:
            self.notes.append(text)
            self.emit({"event": "note", "text": text})

    def conclude(self) -> None:
        """Note work without effect: rounds logged as `skipped`, and a last clustering with almost no information."""
        skipped = sum(bool(line.get("skipped")) for line in self.lines)
        if skipped:
            untrained = ": nothing was trained" if skipped == len(self.lines) else ""
            self.note(
                f"{skipped} of {len(self.lines)} rounds were skipped, for lack of clusters to distinguish{untrained}"
            )
        if self.clusters:
            fault = clustering_fault(np.array(self.clusters[-1][1]))
            if fault:
                self.note(f"the last clustering {fault}")

    def state_dict(self) -> dict[str, Any]:
        return {"lines": self.lines, "clusters": self.clusters, "notes": self.notes, "seconds": self.clock.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.lines = list(state["lines"])
        self.clusters = [(epoch, labels) for epoch, labels in state["clusters"]]
        self.notes = list(state["notes"])
        self.clock.restore(state.get("seconds", 0.0))
        for number in range(len(self.lines)):  # the driver, or its trackers, may not know them
            self._tell(number)


def clustering_fault(labels: np.ndarray) -> str:
    """Return why a clustering [N] (-1: outlier) is almost useless for learning identities, or ""."""
    inside = labels[labels >= 0]
    sizes = np.unique(inside, return_counts=True)[1]
    if len(sizes) < 2:
        count = "one cluster" if len(sizes) else "no cluster"
        return f"has {count} and {len(labels) - len(inside)} outliers among {len(labels)} images"
    if len(inside) < FEWEST_CLUSTERED * len(labels):
        return f"leaves {len(labels) - len(inside)} of {len(labels)} images out as outliers"
    if len(sizes) > 2 and sizes.max() > LARGEST_CLUSTER * len(inside):
        return f"puts {sizes.max()} of {len(inside)} clustered images into one of its {len(sizes)} clusters"
    return ""


def cluster_purity(clusters: np.ndarray, pids: np.ndarray) -> dict[str, float]:
    """Return the share of clustered images in clusters dominated by their own identity; -1 means not clustered."""
    inside = clusters >= 0
    best = sum(int(np.unique(pids[clusters == c], return_counts=True)[1].max()) for c in np.unique(clusters[inside]))
    return {
        "clusters": float(len(np.unique(clusters[inside]))),
        "outliers": float((~inside).sum()),
        "purity": best / max(int(inside.sum()), 1),
    }
