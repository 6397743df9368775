"""Code of a job: it starts the same worker process for a stage as `process`, and reports to a file.

A job is a path PLACE. `PLACE.json` is the spec of its stage, `PLACE.events` the file that it writes: JSON lines with
its node, the events of the stage, and its result. `run.json` next to it is what all jobs of a run share, and `orders`
is how the driver reaches them. Only this function and that path are pickled, and no result is read from a pickle.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.execution.executor import OneResult
from reidbench.execution.executors import nodes
from reidbench.execution.executors.process import Processes
from reidbench.execution.executors.starter import Starter
from reidbench.stages.spec import StageSpec
from reidbench.stages.worker import writer

RUN, ORDERS = "run.json", "orders"
WIND_DOWN, END = "wind down", "end"  # orders from the driver
NODE, RESULT, REFUSED, REQUEUED = "node", "result", "refused", "requeued"  # events besides those of the stage
BEAT = 10.0  # seconds between signs of life
ENDED = "Slurm ended its job before the stage was done: raise its time with --option time=MINUTES, or run it again"
Say = Callable[[dict[str, Any]], None]


def run(place: str) -> None:
    """Run the stage of a job, and report. Raises FileNotFoundError if the run has ended and removed its folder."""
    from submitit.core.utils import UncompletedJobError

    base = Path(place)
    shared = json.loads((base.parent / RUN).read_text())
    spec = StageSpec.model_validate(json.loads(base.with_suffix(".json").read_text()))
    if shared["cluster"] == "local":
        _leave_the_terminal()
    signalled = _watch_for_slurm() if shared["cluster"] == "slurm" else threading.Event()
    with base.with_suffix(".events").open("a") as file:
        file.write("\n")  # ends half a line of a job that Slurm ended and started again
        say = writer(file)
        try:
            _work(spec, shared, base.parent, say, signalled)
        except UncompletedJobError:  # raised by submitit's handler of Slurm's warning, shortly before the end
            say({"event": RESULT, **asdict(OneResult(spec.stage.key, "failed", ENDED, died=True))})
        except ReidbenchError as error:
            say({"event": REFUSED, "text": str(error)})
        except SystemExit:  # raised by the same handler when the job is preempted, and requeued
            say({"event": REQUEUED})
            raise
        os.fsync(file.fileno())


def _leave_the_terminal() -> None:
    """Let a job of this machine receive SIGINT again, from a process group that Ctrl-C does not reach."""
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _watch_for_slurm() -> threading.Event:
    """Return whether Slurm has announced the end of the job, which its state explains and not how the worker ends."""
    signalled = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: signalled.set())
    return signalled


def _work(spec: StageSpec, shared: dict[str, Any], folder: Path, say: Say, signalled: threading.Event) -> None:
    node = socket.gethostname()
    found = _problems(shared["expected"], folder, node) if shared["expected"] else []
    say({"event": NODE, "node": node, "problems": found})
    if found or read_order(folder):
        return
    events: collections.deque[dict[str, Any]] = collections.deque()
    # One stage: a server to fork further workers would cost more than it saves.
    stage = Processes(1, shared["seconds"], shared["gib"], Starter(forks=False))
    try:
        stage.submit(spec, lambda _, event: events.append(event))
        results: list[OneResult] = []
        order = before = ""
        beat = time.monotonic()
        while not results and order != END:
            results = list(stage.wait())
            said = [events.popleft() for _ in range(len(events))]
            if not said and time.monotonic() - beat > BEAT:
                said = [{"event": ""}]
            for event in said:
                say(event)
                beat = time.monotonic()
            before, order = order, read_order(folder)
            if order == WIND_DOWN != before:
                stage.wind_down()
        # Slurm's signals also reach the worker, which then ends: the job's state has the reason.
        if results and (results[0].status == "done" or not signalled.is_set()):
            say({"event": RESULT, **asdict(results[0])})
    finally:
        stage.stop()


def _problems(expected: dict[str, Any], folder: Path, node: str) -> list[str]:
    """Return why this node is not usable; each is compared with the driver's once."""
    wanted = nodes.Expected(
        **{**expected, "without": frozenset(expected["without"]), "paths": tuple(expected["paths"])}
    )
    nodes.adopt(wanted)
    checked = folder / f"checked-{node}"
    if checked.exists():
        return []
    found = nodes.problems(wanted, node)
    if not found:
        checked.touch()
    return found


def read_order(folder: Path) -> str:
    """Return the driver's order; a folder that it has removed is the order to end."""
    try:
        return (folder / ORDERS).read_text()
    except FileNotFoundError:
        return END
    except OSError:  # of a shared file system, for a moment
        return ""
