"""Executor with jobs of submitit: submits them in arrays, reads their reports, and explains how they ended."""

from __future__ import annotations

import collections
import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.execution.executor import QUEUED, STARTED, OneResult, OnEvent, Settings
from reidbench.execution.executors import nodes
from reidbench.execution.executors.limits import Limits
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.store.locks import DEAD_AFTER

from . import clusters, job
from .params import SlurmOptions

SLOTS = {"slurm": 64, "local": 1, "debug": 1}  # jobs at a time, waiting or running, unless --jobs says otherwise
POLL = 0.2  # seconds between looks at the jobs' reports
SETTLE = {"slurm": 15.0, "local": 0.0, "debug": 0.0}  # seconds until a shared file system shows what an ended job wrote
GRACE = 10.0  # seconds for jobs to end their stages when the run ends
RETRIES = 3  # retries of a stage that was lost with its node


@dataclass
class _Job:
    """Stage that is to be submitted, or was."""

    spec: StageSpec
    on_event: OnEvent
    place: Path  # see `job`
    submitted: Any = None
    started: bool = False
    read: int = 0  # bytes of its report
    rest: bytes = b""
    heard: float = 0.0  # when its report last grew
    gone: float | None = None  # when it was first seen to have ended

    @property
    def key(self) -> str:
        """Key of the stage."""
        return self.spec.stage.key


class Jobs:
    """Runs each stage as a job with the resources of `options`, up to `settings.jobs` at a time (default: `SLOTS`).

    Jobs outlive a driver that is killed, and a driver started later waits for their stages. Each job applies the limits
    of `settings` in addition to Slurm's. Raises ReidbenchError for impossible limits, and where jobs cannot be
    submitted.
    """

    def __init__(self, options: SlurmOptions, settings: Settings) -> None:
        self.options = options
        self.slots = settings.jobs or SLOTS[options.cluster]
        self.winds_down = options.cluster != "debug"  # there, the running stage is a call in this process
        self.limits = Limits(settings.time_limit, settings.memory_limit)
        self._cluster = clusters.Cluster(options)
        self._folder: Path | None = None
        self._expected: nodes.Expected | None = None
        self._count = 0
        self._ready: list[_Job] = []
        self._running: dict[str, _Job] = {}
        self._leaving: list[Any] = []  # local jobs whose result is known, and whose process has not ended yet
        self._ended: list[OneResult] = []
        self._lost: collections.Counter[str] = collections.Counter()

    def _open(self, spec: StageSpec) -> Path:
        """Create the folder of the run's jobs in the store, for this user only, since submitit pickles into it."""
        folder = Store(spec.store).spec_file(spec.stage.key).with_suffix("")
        folder.mkdir(mode=0o700)
        if self.options.cluster == "slurm":
            folders = {"the store": spec.store, "the cache of rendered data": spec.cache}
            self._expected = nodes.expect(frozenset(spec.without), folders)
        expected = self._expected and {**asdict(self._expected), "without": sorted(self._expected.without)}
        shared = {
            "cluster": self.options.cluster,
            "expected": expected,
            "seconds": self.limits.seconds,
            "gib": self.limits.gib,
        }
        (folder / job.RUN).write_text(json.dumps(shared))
        (folder / job.ORDERS).write_text("")
        self._cluster.open(folder)
        self._folder = folder
        return folder

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Take a stage; `wait` submits all that were taken since. Raises StoreError if the store cannot be written."""
        with Store(spec.store).writing():
            folder = self._folder or self._open(spec)
            self._count += 1
            place = folder / f"{spec.stage.key}-{self._count}"
            file = place.with_suffix(".json")
            file.touch(mode=0o600)  # a spec may contain secrets
            file.write_text(json.dumps(spec.dump()))
        self._ready.append(_Job(spec, on_event, place))
        on_event(spec.stage.key, {"event": QUEUED})

    def wait(self) -> Iterable[OneResult]:
        """Submit what was taken, and return the stages that ended; waits briefly if there are none.

        Raises ReidbenchError if the cluster accepts no job, for an unusable node, and for a store that cannot be
        written there.
        """
        self._send()
        ended, self._ended = self._ended, []
        ended += [result for one in list(self._running.values()) if (result := self._look(one))]
        if not ended:
            time.sleep(POLL)
        return ended

    def _send(self) -> None:
        """Submit the jobs that are ready, as one array for each request of resources."""
        groups: dict[clusters.Request, list[_Job]] = {}
        for one in self._ready:
            groups.setdefault(clusters.request(one.spec, self.options), []).append(one)
        self._ready = []
        for needed, jobs in groups.items():
            for one, submitted in zip(jobs, self._cluster.submit(needed, [one.place for one in jobs]), strict=True):
                one.submitted = submitted
                self._running[one.key] = one

    def _look(self, one: _Job) -> OneResult | None:
        """Forward what a job has reported. Returns the result of its stage once it is known."""
        state = self._cluster.ended(one.submitted)  # before its report is read, which is complete then
        result = next(filter(None, (self._hear(one, event) for event in _report(one))), None)
        if result is None and state:
            one.gone = one.gone or time.monotonic()
            if time.monotonic() - one.gone >= SETTLE[self.options.cluster]:
                result = self._died(one, self._cluster.newest(one.submitted) or state)
        elif result is None and self.options.cluster == "slurm" and one.started and _silent(one):
            result = self._died(one, "NODE_FAIL")
        if result is not None:
            del self._running[one.key]
            if self.options.cluster == "local" and not state:
                self._leaving.append(one.submitted)
        return result

    def _hear(self, one: _Job, event: dict[str, Any]) -> OneResult | None:
        kind = event.pop("event")
        if kind == job.RESULT:
            return OneResult(**event)
        if kind == job.REFUSED:
            raise ReidbenchError(str(event["text"]))
        if kind == job.NODE:
            if event["problems"]:
                reasons = ", ".join(event["problems"])
                raise ReidbenchError(f"the run stops: node {event['node']} is not usable: {reasons}")
            one.started = True
            one.on_event(one.key, {"event": STARTED})
        elif kind == job.REQUEUED:
            one.started = False
            one.on_event(one.key, {"event": QUEUED})
        elif kind:
            one.on_event(one.key, {"event": kind, **event})
        return None

    def _died(self, one: _Job, state: str) -> OneResult:
        """Explain a job that ended without a result, in the stage's log too; a lost one is submitted again."""
        said = clusters.tail(one.submitted)
        with contextlib.suppress(OSError), Store(one.spec.store).log(one.key) as log:
            log.write(f"job {one.submitted.job_id}: {state}\n{said}\n".encode(errors="replace"))
        reason = f"its job {one.submitted.job_id} {self._ending(one, state)}"
        if state not in clusters.LOST:
            return OneResult(one.key, "failed", reason, said, died=True)
        self._cluster.cancel(one.submitted)
        self._lost[one.key] += 1
        if self._lost[one.key] > RETRIES:
            return OneResult(one.key, "failed", f"{reason}, {self._lost[one.key]} times in all", said, died=True)
        one.on_event(one.key, {"event": "note", "text": f"{reason}; it is submitted again"})
        return OneResult(one.key, "busy")

    def _ending(self, one: _Job, state: str) -> str:
        """Return how a job ended, in words, with the option to change."""
        needed = clusters.request(one.spec, self.options)
        memory = "the memory of a job" if needed.memory is None else f"{needed.memory:g} GiB"
        words = {
            "TIMEOUT": f"ran longer than {needed.time} min: raise --option time=MINUTES, and run it again to resume",
            "OUT_OF_MEMORY": f"used more than {memory}: raise --option memory=GIB",
            "CANCELLED": "was cancelled",
            **dict.fromkeys(clusters.LOST, f"was lost with its node ({state})"),
        }
        return words.get(state, f"ended without a result ({state})")

    def wind_down(self) -> None:
        """Cancel jobs that wait; let the others continue to their end, or to their next checkpoint if that is first."""
        self._order(job.WIND_DOWN)
        waiting = [*self._ready, *(one for one in self._running.values() if not one.started)]
        self._ready = []
        for one in waiting:
            if self._running.pop(one.key, None):
                self._cluster.cancel(one.submitted)
            self._ended.append(OneResult(one.key, "stopped"))

    def _order(self, order: str) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):  # a full disk; then jobs end with their stages
                (self._folder / job.ORDERS).write_text(order)

    def stop(self) -> None:
        """End all jobs with their stages, and remove the folder of the run."""
        self._order(job.END)
        for one in self._running.values():
            self._cluster.cancel(one.submitted)
        until = time.monotonic() + GRACE
        left = [one for one in self._running.values() if one.started or self.options.cluster == "local"]
        while left and self.winds_down and time.monotonic() < until:
            left = [one for one in left if not self._cluster.ended(one.submitted)]
            time.sleep(POLL / 2 if left else 0)
        while self._leaving and time.monotonic() < until:
            self._leaving = [submitted for submitted in self._leaving if not self._cluster.ended(submitted)]
            time.sleep(POLL / 2 if self._leaving else 0)
        self._ready, self._running = [], {}
        if self._expected is not None:
            nodes.forget(self._expected)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # jobs that still wait then end at once
            self._folder = self._expected = None


def _silent(one: _Job) -> bool:
    """Return whether a job that runs has given no sign of life for long."""
    return time.monotonic() - one.heard > DEAD_AFTER


def _report(one: _Job) -> Iterator[dict[str, Any]]:
    """Yield what a job has reported since the last call."""
    try:
        with one.place.with_suffix(".events").open("rb") as file:
            file.seek(one.read)
            block = file.read()
    except OSError:  # not written yet, or of a shared file system, for a moment
        return
    if not block:
        return
    one.read += len(block)
    one.heard = time.monotonic()
    *lines, one.rest = (one.rest + block).split(b"\n")
    for line in lines:
        with contextlib.suppress(ValueError):  # half a line of a job that was ended
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event
