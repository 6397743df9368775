"""Estimate the remaining time of a run from the seconds that stages of the same component took."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from reidbench.matrix.stage import Plan, Stage
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store
from reidbench.store.progress import Progress

SAMPLE = 20  # manifests read per component: enough for a mean, few enough for a large plan

Group = tuple[str, str, str, str]  # kind, component, network, image size


@dataclass(frozen=True)
class Remaining:
    """Estimated seconds of a run, and the number of stages without an estimate because none like them was timed."""

    seconds: float
    unknown: int

    @property
    def words(self) -> str:
        """Return the estimate as text: `about 12 min, plus 3 stages without an estimate`."""
        untimed = f"{self.unknown} stage{'' if self.unknown == 1 else 's'} without an estimate" if self.unknown else ""
        if not self.seconds and untimed:
            return f"unknown ({untimed})"
        return f"about {duration(self.seconds)}" + (f", plus {untimed}" if untimed else "")


def duration(seconds: float) -> str:
    """Return seconds in the largest units: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


class Times:
    """Usual seconds of the stages of a plan: means over artifacts in the store and stages that end meanwhile."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self._seen: dict[Group, list[float]] = {}
        self._expected: dict[Group, float] = {}

    @functools.cached_property
    def groups(self) -> dict[Group, list[str]]:
        """Return the keys of each group of similar stages."""
        found: dict[Group, list[str]] = {}
        for key, stage in self.plan.stages.items():
            found.setdefault(_group(stage), []).append(key)
        return found

    def took(self, stage: Stage, seconds: float) -> None:
        """Add the seconds of a stage that has ended; one of a group not yet read is found in the store."""
        if _group(stage) in self._seen:
            self._seen[_group(stage)].append(seconds)

    def left(self, stage: Stage, progress: Progress, elapsed: float) -> float | None:
        """Return the seconds left of a running stage, at its own pace or by the usual time; None if unknown."""
        if progress.remaining is not None:
            self._expected[_group(stage)] = elapsed + progress.remaining
            return progress.remaining
        usual = self.usual(stage)
        return None if usual is None else max(0.0, usual - elapsed)

    def usual(self, stage: Stage) -> float | None:
        """Return the mean seconds of similar stages, or the expected seconds of a running one; None if unknown."""
        seen = self._of(stage)
        return sum(seen) / len(seen) if seen else self._expected.get(_group(stage))

    def _of(self, stage: Stage) -> list[float]:
        group = _group(stage)
        if group not in self._seen:
            keys = [key for key in self.groups.get(group, ()) if self.store.has(key)][:SAMPLE]
            self._seen[group] = [seconds for key in keys for seconds in self._seconds(key)]
        return self._seen[group]

    def _seconds(self, key: str) -> Iterable[float]:
        try:
            found = self.store.facts(key, ("seconds",)).get("seconds")
        except (BadArtifact, KeyError):
            return []
        return [float(found)] if isinstance(found, int | float) else []

    def remaining(self, waiting: Collection[str], running: Mapping[str, float | None], slots: int) -> Remaining:
        """Estimate a run with `slots` stages at a time; `running` has seconds left by key, None if unknown."""
        left = [self.usual(self.plan.stages[key]) for key in waiting] + list(running.values())
        known = [seconds for seconds in left if seconds is not None]
        spread = sum(known) / max(1, min(slots, len(left)))
        longest = max(known, default=0.0)
        return Remaining(max(spread, longest), len(left) - len(known))


def _group(stage: Stage) -> Group:
    return stage.kind, stage.use, repr(stage.backbone), stage.size.words
