"""Executor with one process per stage: a killed process affects one cell, and its memory is freed. See `starter`."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import StoreError
from reidbench.execution.executor import OneResult, OnEvent
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store

from .limits import Limits
from .starter import Fresh, Handle, Refused, Starter

POLL = 0.2  # seconds that `wait` waits for a result, and between checks of a worker
LOOK_SHARE = 20  # memory checks use at most this fraction (1/20) of a core
LINGER = 5.0  # seconds that a worker may take to exit after reporting its result
ENDINGS = ("done", "busy", "failed", "damaged")


CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)


@dataclass
class _Worker:
    """Running stage."""

    spec: StageSpec
    process: Handle
    events: int  # descriptor to read from
    file: Path  # of the spec
    checkpoint: Path
    began: float
    look_at: float = 0.0  # time of the next check of its limits
    said_at: float | None = None  # when it reported its result
    winding_from: int | None = None  # time of its last checkpoint when it was asked to end; 0 without one

    @property
    def key(self) -> str:
        """Key of the stage."""
        return self.spec.stage.key

    def saved(self) -> int:
        """Return the time of its last checkpoint in ns; 0 without one."""
        try:
            return self.checkpoint.stat().st_mtime_ns
        except OSError:
            return 0


class Processes:
    """Runs up to `slots` stages at a time, each in a worker process that ends with its driver.

    `time_limit` in seconds and `memory_limit` in GiB apply to each stage: a stage that exceeds one is killed with its
    children and fails. Raises ReidbenchError for a memory limit without /proc. A `starter` passed in is shared, so
    `stop` does not end it.
    """

    winds_down = True

    def __init__(
        self,
        slots: int,
        time_limit: float | None = None,
        memory_limit: float | None = None,
        starter: Starter | None = None,
    ) -> None:
        self.slots = slots
        self.limits = Limits(time_limit, memory_limit)
        self.starter = starter or Starter()
        self._own_starter = starter is None
        self._stopped = False
        self._starting = threading.Lock()  # held by a thread that starts a process, while another stops all
        self._ended: queue.Queue[OneResult] = queue.Queue()
        self._running: dict[str, _Worker] = {}

    def submit(self, spec: StageSpec, on_event: OnEvent) -> None:
        """Start a worker. Raises StoreError if its spec cannot be written to the store."""
        self._stopped = False
        key = spec.stage.key
        store = Store(spec.store)
        reading, writing = os.pipe()
        try:
            with store.writing():
                file = store.spec_file(key)
                file.touch(mode=0o600)  # a spec may contain secrets, unlike a manifest
                file.write_text(json.dumps(spec.dump()))
                log = store.log(key)
            with log:
                process = self.starter.start(spec, file, log, writing)
        except (OSError, StoreError) as error:
            os.close(reading)
            if isinstance(error, StoreError):
                raise
            self._ended.put(_not_started(key, error))
            return
        finally:
            os.close(writing)
        checkpoint = store.root / "scratch" / key / "checkpoint"
        worker = _Worker(spec, process, reading, file, checkpoint, time.monotonic())
        self._running[key] = worker
        threading.Thread(target=self._follow, args=(worker, on_event), daemon=True).start()

    def _follow(self, worker: _Worker, on_event: OnEvent) -> None:
        """Forward a worker's events until it ends or must end; then report how it ended."""
        result: OneResult | None = None
        killed: OneResult | None = None
        try:
            killed = self._await_birth(worker, on_event)
            for event in _events(worker):
                if event is None:
                    killed = killed or self._look(worker)
                elif event["event"] in ENDINGS:
                    worker.said_at = time.monotonic()
                    error, trace, key = (str(event.get(name, "")) for name in ("error", "traceback", "key"))
                    result = OneResult(worker.key, event["event"], error, trace, key)
                else:
                    on_event(worker.key, event)
        finally:
            code = worker.process.bury()  # with its children, which may outlive it
            os.close(worker.events)
            worker.file.unlink(missing_ok=True)
            self._ended.put(result or killed or OneResult(worker.key, "failed", _death(code), died=_was_ended(code)))

    def _await_birth(self, worker: _Worker, on_event: OnEvent) -> OneResult | None:
        """Wait until a worker runs; if no server forks it, start a new process. Returns its result if it must end."""
        killed = None
        try:
            while not killed and not worker.process.born(POLL):
                killed = self._look(worker)
            self.starter.succeeded()
        except Refused as refusal:
            if note := self.starter.refused(str(refusal)):
                on_event(worker.key, {"event": "note", "text": note})
            killed = self._start_fresh(worker)
        except OSError as error:
            killed = _not_started(worker.key, error)
        return killed

    def _start_fresh(self, worker: _Worker) -> OneResult | None:
        """Start a worker as a new process, unless all are being stopped. Returns its result on failure."""
        reading, writing = os.pipe()
        try:
            with self._starting, Store(worker.spec.store).log(worker.key) as log:
                if not self._stopped:
                    process = Fresh(worker.file, log, writing, worker.spec.threads)
                    worker.process.bury()
                    reading, worker.events, worker.process = worker.events, reading, process
        except OSError as error:
            return _not_started(worker.key, error)
        finally:
            os.close(writing)
            os.close(reading)  # the pipe that no worker writes to
        return None

    def _look(self, worker: _Worker) -> OneResult | None:
        """Kill a worker that exceeds its limits, or that wrote a checkpoint after it was asked to end."""
        now = time.monotonic()
        if worker.said_at is not None:
            if now - worker.said_at > LINGER:  # a thread that a plugin left running keeps it alive
                worker.process.end()
            return None
        if worker.winding_from is not None and worker.saved() not in (0, worker.winding_from):
            worker.process.end()
            return OneResult(worker.key, "stopped")
        if now < worker.look_at:
            return None
        reason = self.limits.broken(worker.process.pid, worker.began)
        worker.look_at = time.monotonic() + LOOK_SHARE * (time.monotonic() - now)
        if not reason:
            return None
        worker.process.end()
        return OneResult(worker.key, "failed", reason)

    def wait(self) -> Iterable[OneResult]:
        """Yield the next stage that ends, if one ends soon."""
        try:
            result = self._ended.get(timeout=POLL)
        except queue.Empty:
            return []
        self._running.pop(result.key, None)
        return [result]

    def wind_down(self) -> None:
        """Let running stages continue to their end, or to their next checkpoint if that comes first.

        A stage ended at a checkpoint is returned as `stopped`.
        """
        for worker in self._running.values():
            worker.winding_from = worker.saved()

    def stop(self) -> None:
        """Kill all workers and everything they started."""
        with self._starting:
            self._stopped = True
        if self._own_starter:
            self.starter.end()
        for worker in self._running.values():
            worker.process.end()
        for worker in self._running.values():
            worker.process.wait(LINGER)


def _events(worker: _Worker) -> Iterator[dict[str, Any] | None]:
    """Yield a worker's events until it has ended, and None repeatedly, for checks in between.

    It has not ended when the pipe closes, which a child may keep open; and a killed worker may leave half a line.
    """
    poll = select.poll()
    poll.register(worker.events, select.POLLIN)
    rest = b""
    while True:
        gone = worker.process.poll() is not None  # checked first: everything it wrote before is read below
        block = None
        if poll.poll(0 if gone else POLL * 1000):
            block = os.read(worker.events, 1 << 16)
        if block:
            *lines, rest = (rest + block).split(b"\n")
            yield from filter(None, map(_event, lines))
        elif gone:
            return
        elif block == b"":  # end of its output
            worker.process.wait(POLL)
        yield None


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _not_started(key: str, error: OSError) -> OneResult:
    return OneResult(key, "failed", f"no worker could be started: {error.strerror}", died=True)


def _was_ended(code: int) -> bool:
    """Return whether a worker's exit code shows that it was killed from outside: it neither exited nor crashed."""
    return code < 0 and -code not in CRASHES


def _death(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:  # real-time signals have only numbers
            name = f"signal {-code}"
        return f"the worker was killed by {name}"
    return f"the worker ended with exit code {code} without a result"
