"""Run what is missing, parents first; a failure costs its own cells and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from reidbench.errors import StoreError
from reidbench.files.cache import cache_folder as cache_folder
from reidbench.matrix.plan import Plan, Stage
from reidbench.registry.plugins import Registry, source_hash
from reidbench.stages.inputs import KINDS
from reidbench.store import locks
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import GONE, Store

from .pending import missing
from .silence import Silence

RETRY_BUSY = 0.5  # seconds before looking again at a stage that another driver is making

PATIENCE = 5.0  # seconds of nothing but waiting for other drivers, after which that is said
REMAKES = 2  # times that an artifact which was found damaged or gone is made again in one run


class OneResult(Protocol):
    """How a stage ended, as executors tell it."""

    key: str
    status: str
    error: str
    traceback: str
    damaged: str


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


class Runner:
    """One run of a plan."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Any,
        display: Display,
        without: frozenset[str],
        workers: int = 0,
        held: contextlib.ExitStack | None = None,  # what lets go of the plan's artifacts; by default the end of `run`
    ) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.display = display
        self.without = without
        self.workers = workers
        self.held = held
        self.outcome = Outcome()
        self.waiting: dict[str, Stage] = {}
        self.running: dict[str, float] = {}  # key -> when it started
        self.retry_at: dict[str, float] = {}
        self.remade: Counter[str] = Counter()  # by key
        self.interrupted = False
        self.silence = Silence(display.note)
        self.idle_since: float | None = None  # when all that was left was being made by others
        self.waits_for: dict[str, str] = {}  # key -> whom it was said to wait for

    def run(self) -> Outcome:
        """Run until every stage is made, failed or blocked.

        On Ctrl-C no stage is started any more, and those that run go on to their end or their next checkpoint where
        the executor can do that (`wind_down`); on the second the workers are ended. Either way raises
        KeyboardInterrupt. Raises StoreError when something is missing and the store cannot be written. Until it ends,
        and until `held` is closed where that is given, no `clean` takes what the plan needs; what vanishes all the
        same is made again.
        """
        self.store.root = self.store.root.absolute()  # a stage in this process may go to another folder
        with contextlib.ExitStack() as mine:
            refusal = self._prepare(self.held or mine)
            self.waiting = missing(self.plan, self.store, self.display.note)
            if refusal and self.waiting:  # else a finished store may well be read-only
                raise refusal
            self._notes_of_before()
            self.display.begin(len(self.waiting))
            for key in self.waiting:
                self.store.forget_failure(key)
            with self.silence.watching(), self._interruptible():
                while self.waiting or self.running or self._have_vanished():
                    self._block_children()
                    self._submit_ready()
                    self._wait()
            return self.outcome

    def _prepare(self, held: contextlib.ExitStack) -> StoreError | None:
        """Make the store ready and hold all that the plan needs, before it is looked for. Why not, or None."""
        try:
            self.store.prepare()
            held.enter_context(self.store.needing(self.plan.stages))
        except StoreError as error:
            return error
        return None

    def _have_vanished(self) -> bool:
        """Whether results have gone since they were made or seen; then they wait again, each REMAKES times at most."""
        lost = [row.key for row in self.plan.rows if row.key and not self.store.has(row.key)]
        lost = [key for key in dict.fromkeys(lost) if key not in self.outcome.failed | self.outcome.blocked]
        lost = [key for key in lost if self.remade[key] < REMAKES]
        if not lost:
            return False
        for key in lost:
            self.remade[key] += 1
            self.display.note(f"{self.store.path(key)}: {GONE}; to be made again")
        self._wait_again()
        return bool(self.waiting)

    @functools.cached_property
    def reads(self) -> dict[str, list[str]]:
        """The keys that each stage reads."""
        return {key: self.plan.reads(key) for key in self.plan.stages}

    def _notes_of_before(self) -> None:
        """What stages that are not run again have noted: it holds of this run's rows as well."""
        for key, stage in self.plan.stages.items():
            if key in self.waiting:
                continue
            with contextlib.suppress(KeyError, BadArtifact):
                for text in self.store.manifest(key).notes:
                    self.display.note(f"{stage.label}: {text}")

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Whatever ends the block ends the executor, which no further Ctrl-C breaks off."""
        # Only the main thread gets signals; a caller's own handler, and SIGINT that a shell's `&` ignores, stay.
        mine = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if mine:
            signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield
        finally:
            if mine:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.executor.stop()
            if mine:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _on_interrupt(self, *_: object) -> None:
        if self.interrupted or not hasattr(self.executor, "wind_down"):
            raise KeyboardInterrupt
        self.interrupted = True  # seen by the loop, which is here in a moment

    def _wait(self) -> None:
        for result in self.executor.wait():
            self._ended(result)
        if self.interrupted:
            self._wind_down()
        elif self.waiting and not self.running:  # all that is left is busy elsewhere
            self._say_for_whom()
            time.sleep(min(RETRY_BUSY, 0.1))

    def _say_for_whom(self) -> None:
        """After some seconds of nothing but waiting, say once whom each stage waits for."""
        now = time.monotonic()
        self.idle_since = self.idle_since or now
        if now - self.idle_since < PATIENCE:
            return
        for key, stage in self.waiting.items():
            owner = self.store.owner(key) if key in self.retry_at else ""
            if owner and self.waits_for.get(key) != owner:
                self.waits_for[key] = owner
                silent = f"it is made here if that gives no sign of life for {locks.DEAD_AFTER:.0f} s"
                self.display.note(f"waiting for {stage.label}, which is being made by {owner}; {silent}")

    def _wind_down(self) -> None:
        """Wait for the stages that run, then raise KeyboardInterrupt."""
        if self.running:
            count = f"{len(self.running)} running stage" + ("s go" if len(self.running) > 1 else " goes")
            self.display.note(f"interrupted: {count} on to the next checkpoint or the end; Ctrl-C again ends at once")
            self.executor.wind_down()
        while self.running:
            for result in self.executor.wait():
                self._ended(result)
        raise KeyboardInterrupt

    def _block_children(self) -> None:
        for key in list(self.waiting):
            for parent in self.reads[key]:
                reason = self.outcome.failed.get(parent) or self.outcome.blocked.get(parent)
                if reason and key in self.waiting:
                    del self.waiting[key]
                    self.outcome.blocked[key] = reason

    def _submit_ready(self) -> None:
        unmade = self.waiting.keys() | self.running.keys()
        for key, stage in list(self.waiting.items()):
            if len(self.running) >= self.executor.slots:
                return
            if any(parent in unmade for parent in self.reads[key]) or self.retry_at.get(key, 0) > time.monotonic():
                continue
            if self.store.has(key):  # another driver has made it meanwhile
                del self.waiting[key]
                self.display.ended(stage, "there", 0.0, "")
                continue
            if self.store.claimed(key):  # and is making this one: no worker need start only to see that
                self.retry_at[key] = time.monotonic() + RETRY_BUSY
                continue
            del self.waiting[key]
            if key in self.waits_for:
                self.display.note(f"{stage.label}: {self.waits_for.pop(key)} no longer makes it; it is made here")
            self.idle_since = None
            self.running[key] = time.monotonic()
            self.silence.started(key, stage.label, self.store.log_file(key))
            self.display.started(stage)
            self.executor.submit(self.spec(stage), self._on_event)

    def _on_event(self, key: str, event: dict[str, Any]) -> None:
        self.silence.heard(key)
        self.display.event(self.plan.stages[key], event)

    def _ended(self, result: OneResult) -> None:
        self.silence.ended(result.key)
        stage = self.plan.stages[result.key]
        seconds = time.monotonic() - self.running.pop(result.key)
        self.display.ended(stage, result.status, seconds, result.error)
        if result.status == "busy":
            self.retry_at[result.key] = time.monotonic() + RETRY_BUSY
            self.waiting[result.key] = stage
        elif result.status == "damaged":
            self._remake(result)
        elif result.status == "failed":
            self._failed(result.key, result.error, result.traceback)
        elif result.status == "done":
            self.outcome.ran.append(result.key)

    def _failed(self, key: str, error: str, trace: str = "") -> None:
        self.outcome.failed[key] = error
        self.store.record_failure(key, error, trace)

    def _remake(self, result: OneResult) -> None:
        """Have an artifact that is damaged or gone made again, unless that has not helped before."""
        key = result.damaged
        if key not in self.waiting and key not in self.running:  # two stages may have found the same damage
            self.remade[key] += 1
        if self.remade[key] <= REMAKES:
            aside = "" if result.error.endswith(GONE) else "set aside, "
            self.display.note(f"{result.error}; {aside}to be made again")
        else:
            error = f"{result.error}, as before, and it was made again {REMAKES} times; look for what changes its files"
            self.display.note(error)
            for failed in {key, result.key} & self.plan.stages.keys():
                self._failed(failed, error)
        self._wait_again()

    def _wait_again(self) -> None:
        """Look anew at what is missing: a damaged artifact and whatever it was made from may be missing now."""
        settled = self.running.keys() | self.outcome.failed.keys() | self.outcome.blocked.keys()
        before = len(self.waiting)
        found = missing(self.plan, self.store, self.display.note)
        self.waiting = {key: stage for key, stage in found.items() if key not in settled}
        self.display.more(len(self.waiting) - before)

    def spec(self, stage: Stage) -> dict[str, Any]:
        """The JSON that a worker needs."""
        benchmark = self.plan.benchmark
        data_stages = {given.key: self.plan.stages[given.key] for given in stage.data}
        given = dataclasses.asdict(stage)
        del given["changed"]  # for sentences of the driver
        return {
            "stage": given,
            "trained_on": [dataclasses.asdict(given) for given in self.plan.trained_on(stage.key)],
            "store": str(self.store.root.absolute()),
            "cache": str(cache_folder()),
            "without": sorted(self.without),
            "workers": self.workers,
            "roots": {key: data.root for key, data in data_stages.items()},
            "data_stages": {
                key: {"use": data.use, "params": data.params, "root": data.root, "content": data.content}
                for key, data in data_stages.items()
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
        timed = [manifest["seconds"] for manifest in past if "seconds" in manifest]
        usual = sum(timed) / len(timed) if timed else None
        if usual is None:
            unknown += to_run
        else:
            seconds += usual * to_run
        warnings += changed({(kind, use): {manifest.get("source", "") for manifest in past}}, registry)
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


def changed(sources: Mapping[tuple[str, str], Collection[str]], registry: Registry) -> list[str]:
    """A sentence for each component whose plugin is not what cached results were made with; `sources` are its hashes.

    By kind of stage and component. A result of another `version` has another key, and is not among these.
    """
    found = []
    for (kind, use), hashes in sources.items():
        source = source_hash(registry, KINDS.get(kind, ""), use)
        if source and any(one not in ("", source) for one in hashes):
            found.append(
                f"the code of {kind} {use} has changed since cached results, but its version has not: where the change "
                "can alter results, raise `version` of the component, and they are made again"
            )
    return found


def _manifests(store: Store, keys: list[str]) -> list[Mapping[str, Any]]:
    found = []
    for key in keys:
        try:
            found.append(store.manifest(key).manifest)
        except (BadArtifact, KeyError):
            continue  # a run would set it aside and make it again
    return found
