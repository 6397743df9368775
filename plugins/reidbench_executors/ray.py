"""Executor with Ray tasks, on this machine or a cluster. A task starts the same worker process as `process`.

The Ray worker only watches that process, and keeps the server that forks it for its next task. So a plugin affects only
its own stage, as everywhere; and if a Ray worker disappears, its node has failed, and the stage is worth a retry
elsewhere.
"""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.execution.executor import OneResult, OnEvent, Settings
from reidbench.execution.executors import nodes
from reidbench.execution.executors.limits import Limits
from reidbench.execution.executors.process import POLL, Processes
from reidbench.execution.executors.starter import Starter
from reidbench.matrix.devices import asked_for
from reidbench.matrix.kinds import SEVERAL_DEVICES
from reidbench.stages.spec import StageSpec
from reidbench.stages.worker import describe
from reidbench.store.artifacts import Store

from . import cluster
from .params import RayOptions

RETRIES = 3  # retries of a stage that was lost with its node
GRACE = 5.0  # seconds for tasks to end their workers, before Ray ends both
LOOK = 2.0  # seconds between checks of the nodes
WIND_DOWN, END = "wind down", "end"  # orders from the driver to its tasks
_STARTER = Starter()  # of this process: a Ray worker runs many tasks, one after another, and keeps what it started


@dataclass
class _Task:
    """Stage submitted to Ray."""

    key: str
    on_event: OnEvent
    node: str = ""


def make(options: RayOptions, settings: Settings) -> Ray:
    """Return the executor. Raises ReidbenchError for impossible limits."""
    return Ray(settings.jobs, options.address, settings.time_limit, settings.memory_limit)


class Ray:
    """Runs stages on Ray: a local one that listens on loopback only, or the cluster at `address`.

    Ray starts with the first stage, so it does not start if nothing is missing. Then every node is compared with this
    one (see `nodes`), and a ReidbenchError lists the differences. A Ray that this process joined earlier is used
    unchanged, and left running.

    `jobs` is the number of concurrent stages: by default one on a local Ray, and as many as a cluster can hold. Each
    may use `time_limit` seconds and `memory_limit` GiB.
    """

    winds_down = True

    def __init__(
        self,
        jobs: int | None = None,
        address: str | None = None,
        time_limit: float | None = None,
        memory_limit: float | None = None,
    ) -> None:
        self.slots = jobs or 1
        self.limits = Limits(time_limit, memory_limit)
        self._jobs = jobs
        self._address = address
        self._ray = cluster.library(loopback=cluster.on_loopback(address))
        self._own = False
        self._threads = 1
        self._expected: nodes.Expected | None = None
        self._checked: frozenset[str] = frozenset()
        self._orders: Path | None = None  # the file with orders for tasks
        self._room = cluster.Room({})
        self._looked = 0.0
        self._running: dict[Any, _Task] = {}  # by Ray's generator
        self._ended: list[OneResult] = []
        self._lost: collections.Counter[str] = collections.Counter()

    def _start(self, spec: StageSpec) -> nodes.Expected:
        """Start or join Ray, and check its nodes. Raises ReidbenchError."""
        self._threads = spec.threads
        folders = {"the store": spec.store, "the cache of rendered data": spec.cache}
        self._own = not self._ray.is_initialized()
        alone = self._own and self._address is None
        if alone:
            devices = max(asked_for(kind, spec.devices) for kind in SEVERAL_DEVICES)
            cluster.start_local(self._ray, (self._jobs or 1) * self._threads * devices)
            folders = {}  # the only node is this machine and environment
        elif self._own:
            cluster.join(self._ray, str(self._address))
        self._look_around()
        expected = self._expected = nodes.expect(frozenset(spec.without), folders)
        if not alone:
            cluster.check_nodes(self._ray, self._room, expected)
        self._checked = frozenset(self._room.names)
        self._orders = Store(spec.store).spec_file(f"orders{expected.marker}")
        self._orders.unlink(missing_ok=True)  # of a killed driver with the same pid
        return expected

    def _look_around(self) -> None:
        self._looked = time.monotonic()
        self._room = cluster.look_around(self._ray, self._threads)
        # At least one: Ray queues a stage until there is a node for it.
        limit = self._jobs or (self._room.slots if self._address else 1)
        self.slots = max(1, min(self._room.slots, limit))

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Submit a stage to Ray. Raises ReidbenchError for the first stage if Ray or a node is not usable."""
        expected = self._expected or self._start(spec)
        key, label = spec.stage.key, spec.stage.label
        cpus, gpus = needs(spec, self._room)
        task = self._ray.remote(_stage).options(
            num_cpus=cpus,
            num_gpus=gpus,
            num_returns="streaming",
            max_retries=0,  # `_again` decides on retries
            scheduling_strategy="SPREAD",
            name=label,
        )
        generator = task.remote(spec, expected, self._checked, self.limits, self._orders)
        self._running[generator] = _Task(key, on_event)

    def wait(self) -> Iterable[OneResult]:
        """Yield the stages that ended; waits briefly if there are none. Raises ReidbenchError for an unusable node."""
        ended, self._ended = self._ended, []
        if not self._running:
            return ended
        generators = list(self._running)
        if self._ray.wait(generators, timeout=0 if ended else POLL)[0]:
            ready, _ = self._ray.wait(generators, num_returns=len(generators), timeout=0)
            ended += filter(None, map(self._read, ready))
        if time.monotonic() - self._looked > LOOK:
            self._look_around()
        return ended

    def _read(self, generator: Any) -> OneResult | None:
        """Read a task's next item: events to forward, or its result."""
        task = self._running[generator]
        try:
            said = self._ray.get(next(generator))
        except self._ray.exceptions.RayTaskError as error:  # in our code around the worker
            if isinstance(error.cause, ReidbenchError):  # a full disk, for example
                raise ReidbenchError(str(error.cause)) from None
            result = OneResult(task.key, "failed", describe(error.cause), str(error))
        except (self._ray.exceptions.RayError, StopIteration) as error:
            result = self._again(task, error)
        else:
            if not isinstance(said, OneResult):
                self._tell(task, said)
                return None
            result = said
        del self._running[generator]
        return result

    def _tell(self, task: _Task, events: list[dict[str, Any]]) -> None:
        for event in events:
            if event["event"] != "node":
                task.on_event(task.key, event)
                continue
            task.node = self._room.names.get(event["node"], event["node"])
            if event["problems"]:
                raise ReidbenchError(f"the run stops: {cluster.unfit(task.node, event['problems'])}")

    def _again(self, task: _Task, error: BaseException) -> OneResult:
        """Resubmit a stage that was lost with its node, unless that has happened too often."""
        self._lost[task.key] += 1
        reason = f"lost with {f'node {task.node}' if task.node else 'its node'} ({type(error).__name__})"
        self._look_around()
        if self._lost[task.key] > RETRIES:
            times = f"{reason}, {self._lost[task.key]} times in all"
            return OneResult(task.key, "failed", times, str(error), died=True)
        task.on_event(task.key, {"event": "note", "text": f"{reason}; it is submitted again"})
        return OneResult(task.key, "busy")

    def wind_down(self) -> None:
        """Let running stages continue to their end, or to their next checkpoint if that comes first."""
        self._order(WIND_DOWN)

    def _order(self, order: str) -> None:
        # Not with Ray's cancel: a task that ends while it is cancelled by force can crash the driver.
        if self._orders is not None:
            with contextlib.suppress(OSError):  # a full disk; then tasks end with Ray
                self._orders.write_text(order)

    def stop(self) -> None:
        """End all tasks with their workers, and also Ray if it was started or joined here."""
        if not self._ray.is_initialized():
            return
        left = [generator.completed() for generator in self._running]
        if left:
            self._order(END)
            _, left = self._ray.wait(left, num_returns=len(left), timeout=GRACE)
        self._running.clear()
        if self._expected is not None:
            nodes.forget(self._expected)
        if self._own:
            cluster.leave(self._ray)  # which ends the remaining tasks
        if self._orders is not None and (self._own or not left):
            self._orders.unlink(missing_ok=True)


def needs(spec: StageSpec, room: cluster.Room) -> tuple[int, int]:
    """Return CPUs and GPUs of a stage: the benchmark's threads per device, and its devices if nodes have GPUs.

    `data` and `evaluate` use no device. No stage requests more than one node has, since it would wait forever.
    """
    devices = asked_for(spec.stage.kind, spec.devices)
    gpus = min(devices, room.gpus) if spec.kind.torch else 0
    return min(spec.threads * devices, room.cpus), gpus


def _stage(
    spec: StageSpec, expected: nodes.Expected, checked: frozenset[str], limits: Limits, orders: Path
) -> Iterator[list[dict[str, Any]] | OneResult]:
    """Run one worker on a node; yields lists of its events, then its result. A node that joined late is checked."""
    nodes.adopt(expected)
    node = cluster.this_node()
    problems = [] if node in checked else nodes.problems(expected, node)
    yield [{"event": "node", "node": node, "problems": problems}]
    if problems:
        return
    events: collections.deque[dict[str, Any]] = collections.deque()
    worker = Processes(1, limits.seconds, limits.gib, _STARTER)
    try:
        worker.submit(spec, lambda _, event: events.append(event))
        results: list[OneResult] = []
        order = before = ""
        while not results and order != END:
            results = list(worker.wait())
            said = [events.popleft() for _ in range(len(events))]
            if said:
                yield said
            before, order = order, _read_order(orders)
            if order == WIND_DOWN != before:
                worker.wind_down()
        if results:  # `yield from` does not work: Ray sends into its generators, which lists do not support
            yield results[0]
    finally:
        worker.stop()


def _read_order(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # usually there are none
        return ""
