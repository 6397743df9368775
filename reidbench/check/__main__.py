"""The child of a check: tries the components of a task, each in an empty folder, and says so, a JSON line each."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

from reidbench.registry import plugins
from reidbench.stages import worker

from .child import Task
from .suite import try_component


def main(arguments: list[str]) -> int:
    """Try what the pickled task in a file names. Events go to the descriptor in REIDBENCH_EVENTS."""
    emit = worker.writer(os.fdopen(int(os.environ.pop(worker.EVENTS)), "w"))
    worker.leave_with_the_starter()
    task: Task = pickle.loads(Path(arguments[0]).read_bytes())  # noqa: S301 - our parent's
    registry = plugins.load(task.disabled)
    for kind, name in task.components:
        line, digest = try_component(
            registry, registry.plugins[task.plugin], kind, name, task, lambda step: emit({"step": step})
        )
        emit({"kind": kind, "name": name, "status": line.status, "text": line.text, "digest": digest})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
