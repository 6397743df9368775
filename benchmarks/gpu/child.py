"""Run tasks of `python -m benchmarks.gpu` one after the other: prints a line of JSON for each.

Stages run as with `reidbench run --executor inline`, on the GPU unless it is hidden.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from reidbench.execution.executors.inline import Inline
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Stage
from reidbench.metrics import nearest_neighbours
from reidbench.metrics.neighbours import faiss_search
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store

from .tasks import Answer, Task, read_tasks

WARM = 2  # untimed pieces of work, in which libraries choose their kernels
PIECES = 10  # timed pieces of work
SECONDS = 6.0  # time after which fewer suffice
PACKAGES = ("reidbench", "torch", "lightning-fabric", "timm", "numpy", "faiss-cpu", "faiss-gpu", "faiss-gpu-cu12")


class Enough(Exception):
    """Raised to end a training when enough steps have been timed."""


class Stopwatch:
    """Times the updates of optimisers in pieces of `calls`; pieces that contain the end of an epoch are dropped."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.pieces: list[float] = []
        self.began = 0.0
        self.seen = -1  # updates since the piece began; the first of an epoch only starts the clock

    def update(self) -> None:
        """Record an update. Raises Enough after the last required one."""
        _synchronise()
        now = time.perf_counter()
        self.seen += 1
        if self.seen == 0:
            self.began = now
        if self.seen == self.calls:
            self.pieces.append(now - self.began)
            self.began, self.seen = now, 0
        counted = self.pieces[WARM:]
        if len(counted) >= PIECES or (counted and sum(self.pieces) > SECONDS):
            raise Enough

    def epoch(self) -> None:
        """Record the end of an epoch, which is followed by logging and saving."""
        self.seen = -1

    @property
    def seconds(self) -> float:
        """Median time of a piece. Raises ValueError if none was completed."""
        if not self.pieces:
            raise ValueError("too few steps to time one")
        return float(np.median(self.pieces[WARM:] or self.pieces))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time the updates of the block."""
        from reidbench.training.optim.update import Update

        plain = Update.step

        def step(update: Update) -> None:
            plain(update)
            self.update()

        with patch.object(Update, "step", step):
            yield


def _synchronise() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def run(task: Task) -> Answer:
    """Run the stage of a task and all its inputs."""
    registry = plugins.load()
    the_plan = plan.expand(reader.read(Path(task.file), registry, ()))
    store = Store(Path(task.store))
    measured = next(stage for stage in the_plan.stages.values() if stage.use == task.use)
    for stage in _before(the_plan, measured):
        error = _run_stage(StageSpec.of(the_plan, stage, store, (), task.workers))
        if error:
            return Answer(error=f"{stage.label}: {error}")
    watch = Stopwatch(task.calls)
    return _measure(task, StageSpec.of(the_plan, measured, store, (), task.workers), store, watch)


def _before(the_plan: Plan, stage: Stage) -> list[Stage]:
    found: dict[str, Stage] = {}
    for key in stage.needs:
        parent = the_plan.stages[key]
        found |= {one.key: one for one in (*_before(the_plan, parent), parent)}
    return list(found.values())


def _measure(task: Task, spec: StageSpec, store: Store, watch: Stopwatch) -> Answer:
    """Run the last stage of a task; out of memory is reported like other errors."""
    import torch

    logged = 0

    def heed(event: Mapping[str, Any]) -> None:
        nonlocal logged
        if event["event"] == "log":
            logged += 1
            watch.epoch()
            if logged == task.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    gc.collect()  # the networks of the previous task
    torch.cuda.empty_cache()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if not task.calls:
        error = _run_stage(spec, heed)
        return Answer(error=error) if error else Answer(_log(store, spec), logged)
    with watch.watching():
        error = _run_stage(spec, heed)
    if error and not error.startswith(Enough.__name__):
        return Answer(error=error)
    try:
        rate = task.images / watch.seconds
    except ValueError as unfit:
        return Answer(error=str(unfit))
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return Answer(rate=rate, peak=peak)


def _run_stage(spec: StageSpec, heed: Any = lambda event: None) -> str:
    """Run a stage in this process; return the error, or an empty string."""
    executor = Inline()
    executor.submit(spec, lambda key, event: heed(event))
    (result,) = executor.wait()
    return "" if result.status == "done" else result.error or result.status


def _log(store: Store, spec: StageSpec) -> tuple[dict[str, float], ...]:
    lines = (store.path(spec.stage.key) / "log.jsonl").read_text().splitlines()
    return tuple(json.loads(line) for line in lines)


def neighbours(count: int, dim: int, on_gpu: bool) -> dict[str, Any]:
    """Find the 21 nearest of vectors in groups of eight, by faiss and by the product: equal rows, seconds of each."""
    if not (faiss_search.gpus() if on_gpu else find_spec("faiss")):
        return {"missing": "faiss-gpu" if on_gpu else "faiss"}
    random = np.random.Generator(np.random.PCG64(0))
    centres = random.standard_normal((count // 8, dim), dtype=np.float32)
    vectors = np.repeat(centres, 8, 0) + 0.5 * random.standard_normal((count // 8 * 8, dim), dtype=np.float32)
    found, seconds = {}, {}
    nearest_neighbours(vectors[:64], 5, backend="faiss")  # starts the GPU
    for backend in ("product", "faiss"):
        began = time.perf_counter()
        found[backend] = nearest_neighbours(vectors, 21, backend=backend).indices
        seconds[backend] = time.perf_counter() - began
    return {"different": int((found["product"] != found["faiss"]).any(1).sum()), "rows": len(vectors), **seconds}


def about() -> dict[str, Any]:
    """The devices visible to this process, and relevant versions."""
    import torch

    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    count = torch.cuda.device_count()
    names = [torch.cuda.get_device_name(number) for number in range(count)]
    return {"devices": names, "cuda": torch.version.cuda or "", "versions": versions}


def main(arguments: list[str]) -> None:
    """Handle `about`, `neighbours COUNT DIM DEVICE`, or a file of tasks."""
    if arguments[0] == "about":
        print(json.dumps(about()), flush=True)
    elif arguments[0] == "neighbours":
        print(json.dumps(neighbours(int(arguments[1]), int(arguments[2]), arguments[3] == "cuda")), flush=True)
    else:
        for task in read_tasks(Path(arguments[0])):
            with redirect_stdout(sys.stderr):  # a method may print
                answer = run(task)
            print(json.dumps({"task": task.name, **asdict(answer)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
