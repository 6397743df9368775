"""Run what is missing, parents first; a failure costs its own cells and nothing else."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .inputs import KINDS, images_root
from .plan import Plan, Stage
from .plugins import Registry, source_hash
from .store import DamagedArtifact, Store

RETRY_BUSY = 0.5  # seconds before looking again at a stage that another driver is making


class OneResult(Protocol):
    """How a stage ended, as executors tell it."""

    key: str
    status: str
    error: str
    traceback: str


class Display(Protocol):
    """Shows what happens."""

    def begin(self, stages: int) -> None:
        """So many stages are missing."""

    def more(self, stages: int) -> None:
        """So many stages have to be made again."""

    def started(self, stage: Stage) -> None:
        """A stage starts."""

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """A running stage has progressed or has something to say."""

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """A stage has ended."""

    def note(self, text: str) -> None:
        """Something that a person should read."""


@dataclass
class Outcome:
    """What a run did: keys of stages that ran, and errors by key of those that failed or were blocked."""

    ran: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


def cache_folder() -> Path:
    """Where rendered data lie: `$REIDBENCH_CACHE`, or `reidbench` in the user's cache folder."""
    given = os.environ.get("REIDBENCH_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "reidbench"


def missing(plan: Plan, store: Store) -> dict[str, Stage]:
    """The stages that have to run so that every row has its result, parents first.

    A stage whose artifact is there hides its parents: they are needed only if something else misses them. Damaged
    results, and lists of images that are gone, are set aside.
    """
    published = store.keys()
    needed: set[str] = set()
    waiting = list(dict.fromkeys(row.key for row in plan.rows if row.key))
    waiting = [key for key in waiting if not _intact(store, key, published)]
    while waiting:
        key = waiting.pop()
        if key in needed:
            continue
        needed.add(key)
        waiting += [
            parent
            for parent in plan.stages[key].needs
            if parent not in published
            or (plan.stages[parent].kind == "data" and not _images_there(plan, store, parent))
        ]
    return {key: stage for key, stage in plan.stages.items() if key in needed}


def _intact(store: Store, key: str, published: set[str]) -> bool:
    """Whether a result is there and whole; a damaged one is set aside."""
    if key not in published:
        return False
    try:
        store.read(key)
    except (DamagedArtifact, KeyError):
        store.set_aside(key)
        return False
    return True


def _images_there(plan: Plan, store: Store, key: str) -> bool:
    try:
        there = images_root(store.manifest(key).manifest, plan.stages[key].root).exists()
    except (DamagedArtifact, KeyError):
        there = False
    if not there:
        store.set_aside(key)
    return there


class Runner:
    """One run of a plan."""

    def __init__(
        self, plan: Plan, store: Store, executor: Any, display: Display, without: frozenset[str], workers: int = 0
    ) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.display = display
        self.without = without
        self.workers = workers
        self.outcome = Outcome()
        self.waiting: dict[str, Stage] = {}
        self.running: dict[str, float] = {}  # key -> when it started
        self.retry_at: dict[str, float] = {}

    def run(self) -> Outcome:
        """Run until every stage is made, failed or blocked. On Ctrl-C ends the workers and raises KeyboardInterrupt."""
        self.store.prepare()
        self.waiting = missing(self.plan, self.store)
        self.display.begin(len(self.waiting))
        for key in self.waiting:
            self.store.failure_file(key).unlink(missing_ok=True)
        try:
            while self.waiting or self.running:
                self._block_children()
                self._submit_ready()
                for result in self.executor.wait():
                    self._ended(result)
                if self.waiting and not self.running:
                    time.sleep(min(RETRY_BUSY, 0.1))  # all that is left is busy elsewhere
        finally:
            self.executor.stop()
        return self.outcome

    def _block_children(self) -> None:
        for key, stage in list(self.waiting.items()):
            for parent in stage.needs:
                reason = self.outcome.failed.get(parent) or self.outcome.blocked.get(parent)
                if reason and key in self.waiting:
                    del self.waiting[key]
                    self.outcome.blocked[key] = reason

    def _submit_ready(self) -> None:
        unmade = self.waiting.keys() | self.running.keys()
        for key, stage in list(self.waiting.items()):
            if len(self.running) >= self.executor.slots:
                return
            if any(parent in unmade for parent in stage.needs) or self.retry_at.get(key, 0) > time.monotonic():
                continue
            del self.waiting[key]
            if self.store.has(key):  # another driver has made it meanwhile
                self.display.ended(stage, "there", 0.0, "")
                continue
            self.running[key] = time.monotonic()
            self.display.started(stage)
            self.executor.submit(self.spec(stage), self._on_event)

    def _on_event(self, key: str, event: dict[str, Any]) -> None:
        self.display.event(self.plan.stages[key], event)

    def _ended(self, result: OneResult) -> None:
        stage = self.plan.stages[result.key]
        seconds = time.monotonic() - self.running.pop(result.key)
        if result.status == "busy":
            self.retry_at[result.key] = time.monotonic() + RETRY_BUSY
            self.waiting[result.key] = stage
        elif result.status == "damaged":
            self.display.note(f"{result.error}; set aside, to be made again")
            self._wait_again()
        elif result.status == "failed":
            self.outcome.failed[result.key] = result.error
            self.store.record_failure(result.key, result.error, result.traceback)
        else:
            self.outcome.ran.append(result.key)
        self.display.ended(stage, result.status, seconds, result.error)

    def _wait_again(self) -> None:
        """Look anew at what is missing: a damaged artifact and whatever it was made from may be missing now."""
        settled = self.running.keys() | self.outcome.failed.keys() | self.outcome.blocked.keys()
        before = len(self.waiting)
        self.waiting = {key: stage for key, stage in missing(self.plan, self.store).items() if key not in settled}
        self.display.more(len(self.waiting) - before)

    def spec(self, stage: Stage) -> dict[str, Any]:
        """The JSON that a worker needs."""
        benchmark = self.plan.benchmark
        data_stages = {given.key: self.plan.stages[given.key] for given in stage.data}
        return {
            "stage": dataclasses.asdict(stage),
            "store": str(self.store.root.absolute()),
            "cache": str(cache_folder()),
            "without": sorted(self.without),
            "workers": self.workers,
            "roots": {key: data.root for key, data in data_stages.items()},
            "data_stages": {
                key: {"use": data.use, "params": data.params, "root": data.root} for key, data in data_stages.items()
            },
            "image_size": benchmark.image_size,
            "threads": benchmark.threads,
            "precision": benchmark.precision,
            "devices": benchmark.devices,
        }


SAMPLE = 20  # manifests read per component for its usual time: enough for a mean, few enough for a large plan


def preview(plan: Plan, store: Store, registry: Registry) -> dict[str, Any]:
    """What a run would do, as JSON values: counts by component, expected seconds, warnings. Changes nothing."""
    published = store.keys()
    needed: set[str] = set()
    waiting = [row.key for row in plan.rows if row.key and row.key not in published]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [parent for parent in plan.stages[key].needs if parent not in published]
    groups: dict[tuple[str, str], list[str]] = {}
    for key, stage in plan.stages.items():
        groups.setdefault((stage.kind, stage.use), []).append(key)
    kinds, warnings, seconds, unknown = [], [], 0.0, 0
    for (kind, use), keys in groups.items():
        to_run = sum(key in needed for key in keys)
        past = _manifests(store, [key for key in keys if key in published][:SAMPLE])
        usual = sum(manifest["seconds"] for manifest in past) / len(past) if past else None
        if usual is None:
            unknown += to_run
        else:
            seconds += usual * to_run
        source = source_hash(registry, KINDS.get(kind, ""), use)
        if source and any(manifest.get("source") not in ("", source) for manifest in past):
            warnings.append(f"the code of {kind} {use} has changed since cached results, but its version has not")
        time_text = "" if usual is None else f", {usual:.1f} s each"
        kinds.append({"kind": kind, "use": use, "stages": len(keys), "to_run": to_run, "time": time_text})
    reasons = {f"{row.method} on {row.task}: {row.reason}": None for row in plan.rows if row.key is None}
    expected = f"{seconds:.0f} s of work" + (f" and {unknown} stages never timed here" if unknown else "")
    return {
        "title": plan.benchmark.title,
        "rows": len(plan.rows),
        "not_applicable": sum(row.key is None for row in plan.rows),
        "stages": len(plan.stages),
        "to_run": len(needed),
        "kinds": kinds,
        "expected": expected,
        "reasons": list(reasons),
        "warnings": warnings,
    }


def _manifests(store: Store, keys: list[str]) -> list[Mapping[str, Any]]:
    found = []
    for key in keys:
        try:
            found.append(store.manifest(key).manifest)
        except (DamagedArtifact, KeyError):
            continue  # a run would set it aside and make it again
    return found
