"""Rotate runs, so that load on a shared machine slows all of them equally; ratios are computed within a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def rotated(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of this process for each run, in `rounds` rounds; each round begins with a different run.

    Each runs once before, uncounted.
    """
    names = list(runs)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for run in runs.values():
        run()
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.process_time()
            runs[name]()
            taken[name].append(time.process_time() - began)
    return taken


def ratio(taken: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    """Median over rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(taken[ours], taken[theirs], strict=True))
