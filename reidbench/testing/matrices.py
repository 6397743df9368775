"""A matrix run in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run_matrix(text: str, folder: Path, *, store: Path | None = None, jobs: int = 0) -> Any:
    """Run a matrix given as YAML text and return its `report.Leaderboard`.

    `jobs` = 0 runs the stages in this process, more run that many worker processes at a time.
    """
    from rich.console import Console

    from reidbench import report
    from reidbench.execution import executors, progress, runner
    from reidbench.matrix import plan, reader
    from reidbench.registry import plugins
    from reidbench.store.artifacts import Store

    file = folder / "matrix.yaml"
    file.write_text(text)
    registry = plugins.load()
    the_plan = plan.expand(reader.read(file, registry))
    the_store = Store(store or folder / "store")
    executor = executors.make("process" if jobs else "inline", max(jobs, 1))
    runner.Runner(the_plan, the_store, executor, progress.Lines(Console(stderr=True)), registry.disabled).run()
    return report.collect(the_plan, the_store)
