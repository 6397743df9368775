"""The child process of a check: checks the components of a task, and writes a JSON line for each."""

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
    """Run the pickled task of a file. Events are written to the descriptor in REIDBENCH_EVENTS."""
    emit = worker.writer(os.fdopen(int(os.environ.pop(worker.EVENTS)), "w"))
    worker.leave_with_the_starter()
    task: Task = pickle.loads(Path(arguments[0]).read_bytes())  # noqa: S301 - written by the parent
    registry = plugins.load(task.disabled)
    for kind, name in task.components:
        line, digest = try_component(
            registry, registry.plugins[task.plugin], kind, name, task, lambda step: emit({"step": step})
        )
        emit({"kind": kind, "name": name, "status": line.status, "text": line.text, "digest": digest})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
