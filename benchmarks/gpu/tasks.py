"""Tasks and answers of the processes of `python -m benchmarks.gpu`, exchanged as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Task:
    """The stage of a matrix that runs the component `use`, with all previous stages.

    `kill_at`: the process kills itself when the stage logs for that time, counted from 1. `calls` updates of the
    optimisers are timed as one piece of work on `images` images; 0 times nothing, and lets the stage finish.
    """

    name: str
    use: str
    file: str
    store: str
    workers: int = 0
    calls: int = 0
    images: int = 0
    kill_at: int = 0


@dataclass(frozen=True)
class Answer:
    """The lines that a stage logged, or its error; images per second and bytes if its steps were timed."""

    lines: tuple[dict[str, float], ...] = ()
    logged: int = 0  # lines that this process logged: fewer than all if it resumed from a checkpoint
    error: str = ""
    rate: float = 0.0
    peak: int = 0


def write_tasks(file: Path, tasks: list[Task]) -> Path:
    """Write the tasks to a file for `read_tasks`."""
    file.write_text(json.dumps([asdict(task) for task in tasks]))
    return file


def read_tasks(file: Path) -> list[Task]:
    """Read the tasks of a file."""
    return [Task(**one) for one in json.loads(file.read_text())]


def write_matrix(file: Path, methods: dict[str, Any], data: dict[str, Any], size: tuple[int, int], **top: Any) -> Path:
    """Write a matrix file of methods from a source and a pool to a target."""
    task = {"source": "source", "target": "target", "pool": "pool"}
    content = {"image_size": list(size), "data": data, "tasks": {"steps": task}, "methods": methods, **top}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file
