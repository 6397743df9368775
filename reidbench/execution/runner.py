"""Runner of pending stages, parents first; a failure affects only its own cells."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from reidbench.errors import StoreError
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.stage import Plan, Stage
from reidbench.stages.spec import StageSpec
from reidbench.store import locks
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import GONE, Store

from .executor import QUEUED, STARTED, Executor, OneResult
from .pending import pending
from .remaining import Remaining, Times
from .reporting import Reports
from .silence import Silence
from .standings import Best, Standings

RETRY_BUSY = 0.5  # seconds before checking again a stage that another driver is running

PATIENCE = 5.0  # seconds of waiting for other drivers, and nothing else, before a note about it
REMAKES = 2  # repeated runs of a stage whose artifact was damaged or missing


class Display(Protocol):
    """Shows the events of a run."""

    def begin(self, stages: int) -> None:
        """Show the number of stages to run."""

    def more(self, stages: int) -> None:
        """Add stages that run again."""

    def started(self, stage: Stage) -> None:
        """Show that a stage starts."""

    def event(self, stage: Stage, event: Mapping[str, Any]) -> None:
        """Show progress or a note of a running stage."""

    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None:
        """Show that a stage has ended."""

    def note(self, text: str) -> None:
        """Show a note."""


@runtime_checkable
class Follower(Protocol):
    """A display that also shows the remaining time and the best row."""

    def follow(self, remaining: Callable[[], Remaining], best: Callable[[str], list[Best]]) -> None:
        """Take the functions that estimate the run that begins, and give the best rows of a new result's tasks."""


@dataclass
class Outcome:
    """Outcome of a run: keys of stages that ran, and errors by key of those that failed or were blocked."""

    ran: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


class Runner:
    """One run of a plan."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        display: Display,
        without: frozenset[str],
        workers: int = 0,
        held: contextlib.ExitStack | None = None,  # releases the plan's artifacts; default: at the end of `run`
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
        self.running: dict[str, float] = {}  # key -> start time
        self.retry_at: dict[str, float] = {}
        self.remade: Counter[str] = Counter()  # by key
        self.interrupted = False
        self.silence = Silence(display.note)
        self.reports = Reports(store)
        self.idle_since: float | None = None  # when others were running all remaining stages
        self.waits_for: dict[str, str] = {}  # key -> owner named in the last note

    def run(self) -> Outcome:
        """Run until every stage is done, failed or blocked.

        At Ctrl-C no further stage starts, and running stages continue to their end or next checkpoint if the executor
        `winds_down`; at the second the workers are killed. Both raise KeyboardInterrupt. Raises StoreError if a stage
        is missing and the store cannot be written. Until the run ends, or until `held` is closed if given, no `clean`
        removes what the plan needs; stages whose artifacts disappear anyway run again.
        """
        self.store.root = self.store.root.absolute()  # a stage in this process may change the working directory
        with contextlib.ExitStack() as mine:
            refusal = self._prepare(self.held or mine)
            self.waiting = pending(self.plan, self.store, self.display.note)
            if refusal and self.waiting:  # a complete store may be read-only
                raise refusal
            self._notes_of_before()
            self.display.begin(len(self.waiting))
            if self.waiting and isinstance(self.display, Follower):
                self.display.follow(self._remaining, self.standings.best_with)
            for key in self.waiting:
                self.store.forget_failure(key)
            with self.silence.watching(), self._interruptible():
                while self.waiting or self.running or self._have_vanished():
                    self._block_children()
                    self._submit_ready()
                    self._wait()
            return self.outcome

    def _prepare(self, held: contextlib.ExitStack) -> StoreError | None:
        """Prepare the store and protect everything that the plan needs, before reading it. Returns an error or None."""
        try:
            self.store.prepare()
            held.enter_context(self.store.needing(self.plan.stages))
        except StoreError as error:
            return error
        return None

    def _have_vanished(self) -> bool:
        """Return whether results have disappeared since; they are then queued again, each at most REMAKES times."""
        ends = dict.fromkeys(key for row in self.plan.rows for key in row.ends)
        lost = [key for key in ends if not self.store.has(key)]
        lost = [key for key in lost if key not in self.outcome.failed | self.outcome.blocked]
        lost = [key for key in lost if self.remade[key] < REMAKES]
        if not lost:
            return False
        for key in lost:
            self.remade[key] += 1
            self.display.note(f"{self.store.path(key)}: {GONE}; its stage runs again")
        self._wait_again()
        return bool(self.waiting)

    @functools.cached_property
    def reads(self) -> dict[str, list[str]]:
        """Return the keys that each stage reads."""
        return {key: self.plan.reads(key) for key in self.plan.stages}

    @functools.cached_property
    def times(self) -> Times:
        """Usual seconds of the plan's stages."""
        return Times(self.plan, self.store)

    @functools.cached_property
    def standings(self) -> Standings:
        """The best rows so far."""
        return Standings(self.plan, self.store)

    def _remaining(self) -> Remaining:
        """Estimate the rest of the run."""
        now = time.monotonic()
        running = {
            key: self.times.left(self.plan.stages[key], self.reports.of(key), now - began)
            for key, began in list(self.running.items())
        }
        return self.times.remaining(self.waiting, running, self.executor.slots)

    def _notes_of_before(self) -> None:
        """Show the notes of cached stages, which also apply to this run's rows."""
        for key, stage in self.plan.stages.items():
            if key in self.waiting:
                continue
            with contextlib.suppress(KeyError, BadArtifact):
                for text in self.store.manifest(key).notes:
                    self.display.note(f"{stage.label}: {text}")

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """End the executor when the block ends for any reason; further Ctrl-C does not interrupt that."""
        # Only the main thread receives signals; a caller's own handler, and SIGINT ignored by a shell's `&`, are kept.
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
        if self.interrupted or not self.executor.winds_down:
            raise KeyboardInterrupt
        self.interrupted = True  # the loop checks this soon

    def _wait(self) -> None:
        for result in self.executor.wait():
            self._ended(result)
        if self.interrupted:
            self._wind_down()
        elif self.waiting and not self.running:  # all remaining stages run elsewhere
            self._say_for_whom()
            time.sleep(min(RETRY_BUSY, 0.1))

    def _say_for_whom(self) -> None:
        """After a few seconds of pure waiting, note once whose work each stage waits for."""
        now = time.monotonic()
        self.idle_since = self.idle_since or now
        if now - self.idle_since < PATIENCE:
            return
        for key, stage in self.waiting.items():
            owner = self.store.owner(key) if key in self.retry_at else ""
            if owner and self.waits_for.get(key) != owner:
                self.waits_for[key] = owner
                silent = f"it runs here if that has no heartbeat for {locks.DEAD_AFTER:.0f} s"
                self.display.note(f"waiting for {stage.label}, which {owner} is running; {silent}")

    def _wind_down(self) -> None:
        """Wait for running stages, then raise KeyboardInterrupt."""
        if self.running:
            count = f"{len(self.running)} running stage" + ("s continue" if len(self.running) > 1 else " continues")
            self.display.note(f"interrupted: {count} to the next checkpoint or the end; Ctrl-C again ends at once")
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
            if len(self.running) >= self.executor.slots or any(map(self._alone, self.running)):
                return
            if self.running and self._alone(key):
                continue
            if any(parent in unmade for parent in self.reads[key]) or self.retry_at.get(key, 0) > time.monotonic():
                continue
            if self.store.has(key):  # another driver has published it meanwhile
                del self.waiting[key]
                self.display.ended(stage, "there", 0.0, "")
                continue
            if self.store.claimed(key):  # another driver is running it, so no worker needs to start
                self.retry_at[key] = time.monotonic() + RETRY_BUSY
                continue
            del self.waiting[key]
            if key in self.waits_for:
                self.display.note(f"{stage.label}: {self.waits_for.pop(key)} no longer makes it; it runs here")
            self.idle_since = None
            self.running[key] = time.monotonic()
            self.silence.started(key, stage.label, self.store.log_file(key))
            self.reports.started(key)
            self.display.started(stage)
            spec = StageSpec.of(self.plan, stage, self.store, self.without, self.workers)
            self.executor.submit(spec, self._on_event)

    def _alone(self, key: str) -> bool:
        return OF_STAGE[self.plan.stages[key].kind].alone

    def _on_event(self, key: str, event: dict[str, Any]) -> None:
        if event["event"] == QUEUED:
            self.silence.ended(key)  # a stage in a queue has nothing to log
            return
        if event["event"] == STARTED:
            self.running[key] = time.monotonic()
            self.silence.started(key, self.plan.stages[key].label, self.store.log_file(key))
            return
        self.silence.heard(key)
        self.reports.heard(key, event)
        self.display.event(self.plan.stages[key], event)

    def _ended(self, result: OneResult) -> None:
        self.silence.ended(result.key)
        self.reports.ended(result.key)
        stage = self.plan.stages[result.key]
        seconds = time.monotonic() - self.running.pop(result.key)
        if result.status == "done":
            self.times.took(stage, seconds)
        self.display.ended(stage, result.status, seconds, result.error)
        if result.status == "busy":
            self.retry_at[result.key] = time.monotonic() + RETRY_BUSY
            self.waiting[result.key] = stage
        elif result.status == "damaged":
            self._remake(result)
        elif result.status == "failed":
            self._failed(result.key, result.error, result.traceback, result.died)
        elif result.status == "done":
            self.outcome.ran.append(result.key)

    def _failed(self, key: str, error: str, trace: str = "", died: bool = False) -> None:
        self.outcome.failed[key] = error
        self.store.record_failure(key, error, trace, died)

    def _remake(self, result: OneResult) -> None:
        """Queue a damaged or missing artifact to be made once more, unless that has not helped before."""
        key = result.damaged
        if key not in self.waiting and key not in self.running:  # two stages may have found the same damage
            self.remade[key] += 1
        if self.remade[key] <= REMAKES:
            aside = "" if result.error.endswith(GONE) else "set aside, "
            self.display.note(f"{result.error}; {aside}its stage runs again")
        else:
            error = f"{result.error}, as before, after {REMAKES} repeated runs; check what changes its files"
            self.display.note(error)
            for failed in {key, result.key} & self.plan.stages.keys():
                self._failed(failed, error)
        self._wait_again()

    def _wait_again(self) -> None:
        """Update the pending stages: a damaged artifact and its parents may be missing now."""
        settled = self.running.keys() | self.outcome.failed.keys() | self.outcome.blocked.keys()
        before = len(self.waiting)
        found = pending(self.plan, self.store, self.display.note)
        self.waiting = {key: stage for key, stage in found.items() if key not in settled}
        self.display.more(len(self.waiting) - before)
