"""Run tasks in processes, with or without the GPU, within a time limit."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .tasks import Answer, Task, write_tasks

ENDED = "its process ended without an answer"


class Processes:
    """Starts `benchmarks.gpu.child`; tasks without an answer after `seconds` are out of time."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.until = time.monotonic() + seconds
        self.numbers = itertools.count()

    @property
    def left(self) -> float:
        """Remaining seconds, at least 0."""
        return max(0.0, self.until - time.monotonic())

    def answers(self, tasks: Sequence[Task], *, hidden: bool) -> dict[str, Answer]:
        """Answers by the tasks' names; `hidden` hides the GPU. A task that ends its process does not affect others."""
        found: dict[str, Answer] = {}
        rest = list(tasks)
        while rest and self.left:
            number = next(self.numbers)
            file, log = (self.folder / f"{name}-{number}" for name in ("tasks", "log"))
            for line in self.lines([str(write_tasks(file, rest))], log, hidden=hidden):
                name = line.pop("task")
                found[name] = Answer(**line)
            rest = [task for task in rest if task.name not in found]
            if rest and self.left:
                found[rest.pop(0).name] = Answer(error=f"{ENDED}: {last_line(log)}")
        return found

    def lines(self, arguments: Sequence[str], log: Path, *, hidden: bool) -> Iterator[dict[str, Any]]:
        """Yield the JSON lines that a process prints, and kill it at the time limit; nothing if no time is left."""
        if not self.left:
            return
        paths = os.pathsep.join(os.path.abspath(path or ".") for path in sys.path)  # noqa: PTH100 - import paths are text
        cache = os.environ.get("REIDBENCH_CACHE") or str(self.folder / "cache")
        environment = {**os.environ, "PYTHONPATH": paths, "REIDBENCH_CACHE": cache}
        environment |= {"CUDA_VISIBLE_DEVICES": ""} if hidden else {}
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.gpu.child", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                start_new_session=True,
            )
        assert process.stdout is not None
        timer = threading.Timer(self.left, _end, [process])
        timer.start()
        with process.stdout:
            try:
                yield from map(json.loads, process.stdout)
            finally:
                timer.cancel()
                _end(process)
                process.wait()


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def last_line(log: Path) -> str:
    """Last line that a process wrote, or a note that it wrote nothing."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
