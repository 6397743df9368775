"""Planning must be fast enough for a prompt: 10,000 cells in under 3 seconds, including start-up.

`test_starting.py` measures start-up alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins

CELLS = 10_000


def write_matrix(folder: Path, methods: int = 20, tasks: int = 10, seeds: int = 25, evaluators: int = 2) -> Path:
    """Write a matrix of methods x tasks x seeds x evaluators = 10,000 rows, without pre-trainings."""
    recipes = "\n".join(f"  m{n}: {{finetune: {{use: bot, epochs: {n + 1}}}}}" for n in range(methods))
    columns = "\n".join(f"  t{n}: {{source: w{n}, target: w{(n + 1) % tasks}}}" for n in range(tasks))
    data = "\n".join(f"  w{n}: {{use: synthetic, world: plaza, size: tiny, seed: {n}}}" for n in range(tasks))
    rules = ["{use: cosine}", "{use: cosine, ap: trapezoid}"][:evaluators]
    file = folder / "large.yaml"
    file.write_text(
        f"image_size: [48, 24]\nseeds: {list(range(seeds))}\nbackbone: resnet-tiny\nevaluate: [{', '.join(rules)}]\n"
        f"data:\n{data}\ntasks:\n{columns}\nmethods:\n{recipes}\n"
    )
    return file


def test_plan_10000_cells(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    """In this process: YAML to stages and keys."""
    file = write_matrix(tmp_path)
    registry = plugins.load()
    the_plan = benchmark(lambda: plan.expand(reader.read(file, registry)))
    assert len(the_plan.rows) == CELLS
    benchmark.extra_info["stages"] = len(the_plan.stages)
    figure("plan of 10,000 cells, in a process that runs", benchmark.stats["median"], "s elapsed", most=3)


def test_plan_command_10000_cells(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    """The whole command."""
    file = write_matrix(tmp_path)
    command = [sys.executable, "-m", "reidbench", "plan", str(file), "--store", str(tmp_path / "store")]
    done = benchmark.pedantic(
        lambda: subprocess.run(command, capture_output=True, text=True, check=True), rounds=3, warmup_rounds=1
    )
    assert f"{CELLS} rows" in done.stdout
    figure("`plan` of 10,000 cells, the whole command", benchmark.stats["median"], "s elapsed", most=3)
