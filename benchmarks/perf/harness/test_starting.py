"""Start-up: CPU seconds of whole commands, with a bare interpreter and the import of numpy for comparison.

Python's compiled files exist, as from the second start on. `tests/project/test_imports.py` lists the packages that each
command may import.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.perf.harness.store_measure import HERE, make_whole

ROUNDS = 5
COMMANDS = {  # what: arguments of the interpreter, and maximum CPU seconds
    "a bare interpreter": (["-c", "pass"], None),
    "import numpy": (["-c", "import numpy"], None),
    "`--help`": (["-m", "reidbench", "--help"], 0.5),
    "`plan` of 100 cells": (["-m", "reidbench", "plan", "all.yaml", "--store", "store"], 1.2),
    "`table` of 100 cells": (["-m", "reidbench", "table", "all.yaml", "--store", "store"], 1.2),
    "a second `run` of 100 cells": (["-m", "reidbench", "run", "all.yaml", "--store", "store"], 1.2),
}


def seconds(words: list[str], folder: Path) -> tuple[float, str]:
    """CPU seconds of a command, user and system together, and its output."""
    environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE / 'plugins'}", "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=folder, check=True, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout + done.stderr


def measure(folder: Path) -> dict[str, list[float]]:
    """CPU seconds of each command per round, after an uncounted one; each round begins with another command."""
    taken: dict[str, list[float]] = {what: [] for what in COMMANDS}
    names = list(COMMANDS)
    for words, _ in COMMANDS.values():
        seconds(words, folder)
    for number in range(ROUNDS):
        for what in names[number % len(names) :] + names[: number % len(names)]:
            taken[what].append(seconds(COMMANDS[what][0], folder)[0])
    return taken


def test_commands(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    assert make_whole(tmp_path, methods=4, tasks=5, seeds=5) == 100
    assert "nothing to run" in seconds(COMMANDS["a second `run` of 100 cells"][0], tmp_path)[1]
    taken = benchmark.pedantic(lambda: measure(tmp_path), rounds=1, iterations=1)
    for what, (_, most) in COMMANDS.items():
        figure(what, statistics.median(taken[what]), "CPU s", most=most)
