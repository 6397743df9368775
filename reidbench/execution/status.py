"""State of a run as its store shows it, from any process: stages done, running, failed, blocked and to run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from reidbench.matrix.stage import Plan, Row
from reidbench.store import progress
from reidbench.store.artifacts import Store
from reidbench.store.progress import Claimed, Progress
from reidbench.tuning.resolve import Resolved

from .preview import missing, with_trials
from .remaining import Remaining, Times, duration
from .standings import Best, Standings

SHOWN = 10  # failed stages that are listed; more are counted


@dataclass(frozen=True)
class Running:
    """A stage that a living process has claimed."""

    key: str
    label: str
    claim: Claimed
    progress: Progress
    left: float | None

    @property
    def words(self) -> str:
        """For a line of text: label, progress, elapsed and remaining time, age of the heartbeat."""
        elapsed = "" if self.claim.seconds is None else f"{duration(self.claim.seconds)} so far"
        remaining = "" if self.left is None else f"about {duration(self.left)} left"
        beat = f"heartbeat {duration(self.claim.heartbeat)} ago"
        return f"{self.label}: {', '.join(filter(None, [self.progress.words, elapsed, remaining, beat]))}"


@dataclass(frozen=True)
class Status:
    """State of the run of a plan. `failed` and `blocked` have reasons by the label of the stage."""

    title: str
    rows: int
    rows_done: int
    not_applicable: int
    stages: int
    runs: tuple[Claimed, ...]
    running: tuple[Running, ...]
    failed: dict[str, str]
    blocked: int
    waiting: int
    remaining: Remaining
    best: tuple[Best, ...]
    version: str  # changes when a result or a failure is added or removed

    @property
    def done(self) -> int:
        """Stages that are done, or that no missing result needs."""
        return self.stages - len(self.running) - len(self.failed) - self.blocked - self.waiting

    @property
    def state(self) -> str:
        """In a word: running, finished, failed (nothing else is left to run) or stopped."""
        if not self.running and not self.waiting:
            return "failed" if self.failed else "finished"
        return "running" if self.running or self.runs else "stopped"


def status(resolved: Resolved, store: Store) -> Status:
    """Return the state of a run of a matrix file. Reads the store and changes nothing."""
    plan, ends = with_trials(resolved.plan, resolved)
    published = store.keys()
    needed = missing(plan, ends, published)
    times = Times(plan, store)
    running = list(_running(plan, needed, store, times))
    busy = {one.key for one in running}
    failed = {key: reason for key in plan.stages if key in needed - busy and (reason := store.failure(key))}
    blocked = _blocked(plan, needed - busy, failed)
    waiting = [key for key in plan.stages if key in needed - busy - failed.keys() - blocked]
    rows = [row for row in resolved.plan.rows if row.key]
    done = {row.key or "" for row in rows if row.key in published}
    return Status(
        title=plan.benchmark.title,
        rows=len(rows),
        rows_done=sum(row.key in done for row in rows),
        not_applicable=sum(row.key is None and row.lacks == Row.lacks for row in resolved.plan.rows),
        stages=len(plan.stages),
        runs=tuple(progress.runs_of(store, needed)),
        running=tuple(running),
        failed={plan.stages[key].label: reason for key, reason in failed.items()},
        blocked=len(blocked),
        waiting=len(waiting),
        remaining=times.remaining(waiting, {one.key: one.left for one in running}, max(1, len(running))),
        best=tuple(Standings(resolved.plan, store).best()),
        version=_version([*done, *failed]),
    )


def _running(plan: Plan, needed: Collection[str], store: Store, times: Times) -> Iterator[Running]:
    for file in store.files("claims"):
        stage = plan.stages.get(file.stem) if file.stem in needed else None
        claim = progress.claimed(store, file.stem) if stage else None
        if stage and claim:
            reported = progress.read(store, stage.key)
            remaining = times.left(stage, reported, claim.seconds or 0.0)
            yield Running(stage.key, stage.label, claim, reported, remaining)


def _blocked(plan: Plan, needed: Collection[str], failed: Collection[str]) -> set[str]:
    """The needed stages behind which one has failed; parents come first in a plan."""
    found: set[str] = set()
    for key, stage in plan.stages.items():
        if key in needed and key not in failed and any(parent in failed or parent in found for parent in stage.needs):
            found.add(key)
    return found


def _version(keys: Collection[str]) -> str:
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]


def lines(found: Status) -> Iterator[str]:
    """The state as lines of text."""
    inapplicable = f", {found.not_applicable} not applicable" if found.not_applicable else ""
    yield f"{found.title}: {found.state}; {found.rows_done} of {found.rows} results{inapplicable}"
    counts = {"running": len(found.running), "failed": len(found.failed), "blocked": found.blocked}
    counted = [f"{number} {word}" for word, number in counts.items() if number]
    yield f"stages: {', '.join([f'{found.done} of {found.stages} done', *counted, f'{found.waiting} to run'])}"
    yield from (f"run: {one.owner}, heartbeat {duration(one.heartbeat)} ago" for one in found.runs)
    yield from (f"running: {one.words}" for one in found.running)
    yield from (f"failed: {label}: {reason}" for label, reason in list(found.failed.items())[:SHOWN])
    if len(found.failed) > SHOWN:
        yield f"failed: {len(found.failed) - SHOWN} more"
    yield from (f"best so far: {one.words}" for one in found.best)
    if found.running or found.waiting:
        at_once = max(1, len(found.running))
        yield f"remaining: {found.remaining.words}, {at_once} stage{'' if at_once == 1 else 's'} at a time"


def as_json(found: Status) -> dict[str, Any]:
    """The state as JSON values. Times are in seconds, metrics as evaluators gave them."""
    return {
        "title": found.title,
        "state": found.state,
        "version": found.version,
        "runs": [{"owner": one.owner, "seconds": one.seconds, "heartbeat": one.heartbeat} for one in found.runs],
        "rows": {"total": found.rows, "done": found.rows_done, "not_applicable": found.not_applicable},
        "stages": {
            "total": found.stages,
            "done": found.done,
            "running": len(found.running),
            "failed": len(found.failed),
            "blocked": found.blocked,
            "to_run": found.waiting,
        },
        "running": [
            {
                "key": one.key,
                "stage": one.label,
                "owner": one.claim.owner,
                "seconds": one.claim.seconds,
                "heartbeat": one.claim.heartbeat,
                "done": one.progress.done,
                "total": one.progress.total,
                "metrics": dict(one.progress.metrics),
                "remaining": one.left,
            }
            for one in found.running
        ],
        "failed": [{"stage": label, "error": reason} for label, reason in found.failed.items()],
        "best": [
            {
                "task": one.task,
                "evaluator": one.evaluator,
                "method": one.method,
                "protocol": one.protocol,
                "metric": one.metric,
                "mean": one.value,
                "n": one.n,
                "seeds": one.rows,
            }
            for one in found.best
        ],
        "remaining": {"seconds": found.remaining.seconds, "unknown": found.remaining.unknown},
    }
