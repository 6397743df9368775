"""Run a matrix file in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run_matrix(text: str, folder: Path, *, store: Path | None = None, jobs: int = 0) -> Any:
    """Run a matrix file given as YAML text and return its `report.Leaderboard`.

    `jobs` is the number of parallel worker processes; 0 runs the stages in this process.
    """
    from reidbench.api.calls import run

    file = folder / "matrix.yaml"
    file.write_text(text)
    executor = "process" if jobs else "inline"
    return run(file, store=store or folder / "store", jobs=jobs or None, executor=executor).board
