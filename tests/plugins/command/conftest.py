"""A folder with programs and a matrix file that calls them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Row
from reidbench.registry import plugins
from reidbench.report import Leaderboard
from reidbench.testing import run_matrix

# Writes one row for each image with the standard library: the count of each byte in its file.
BYTES = """
import csv, sys
from pathlib import Path
def counts(file):
    data = file.read_bytes()
    return [data.count(value) for value in range(0, 256, 8)]
def write(out, names, features):
    with open(Path(out) / "features.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([name, *row] for name, row in zip(names, features))
if __name__ == "__main__":
    files = sorted(Path(sys.argv[1]).iterdir())
    write(sys.argv[2], [file.name for file in files], [counts(file) for file in files])
"""


class Bench:
    """Programs and a matrix of them on one small data set, with its results."""

    def __init__(self, folder: Path, data: str) -> None:
        self.folder = folder
        self.data = data
        self.store = folder / "store"
        self.program("extract.py", BYTES)

    def program(self, name: str, text: str) -> None:
        """Write a program."""
        (self.folder / name).write_text(text)

    def text(self, **methods: Mapping[str, Any]) -> str:
        """The matrix file of these methods; `python` in a command is this interpreter."""
        steps = json.dumps(methods).replace('"python ', f'"{shlex.quote(sys.executable)} ')
        head = "title: Programs\nimage_size: [64, 32]\ntasks: {t: {source: d, target: d}}\nbackbone: resnet-tiny\n"
        return f"{head}data: {{d: {self.data}}}\nseeds: [0, 1]\nmethods: {steps}\n"

    def run(self, jobs: int = 0, **methods: Mapping[str, Any]) -> Leaderboard:
        """Run them, and read the table."""
        board: Leaderboard = run_matrix(self.text(**methods), self.folder, jobs=jobs)
        return board

    def key(self, **step: Any) -> str:
        """The key of the fine-tuning of a method, which is planned and not run."""
        stages = self.plan(m={"finetune": step}).stages
        return next(key for key, stage in stages.items() if stage.kind == "finetune")

    def plan(self, **methods: Mapping[str, Any]) -> Plan:
        """The plan of methods, without a run."""
        (self.folder / "matrix.yaml").write_text(self.text(**methods))
        return plan.expand(reader.read(self.folder / "matrix.yaml", plugins.load()))

    def rows(self, **methods: Mapping[str, Any]) -> list[Row]:
        """The rows of that plan."""
        return self.plan(**methods).rows

    def problems(self) -> tuple[str, ...]:
        """Error of the written matrix file."""
        with pytest.raises(ConfigError) as caught:
            reader.read(self.folder / "matrix.yaml", plugins.load())
        return caught.value.problems

    def command(self, *arguments: str, **methods: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """`reidbench ARGUMENTS` in the folder, with a matrix.yaml of the methods if any are given."""
        if methods:
            (self.folder / "matrix.yaml").write_text(self.text(**methods))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, "-m", "reidbench", *arguments]
        return subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True)

    def artifacts(self, kind: str, use: str = "") -> list[Path]:
        """The folders of the artifacts of a kind of stage, and of a component."""
        folders = [file.parent for file in (self.store / "objects").glob("*/manifest.json")]
        stages = {folder: json.loads((folder / "manifest.json").read_text())["stage"] for folder in folders}
        return [folder for folder, stage in stages.items() if stage["kind"] == kind and use in ("", stage["use"])]

    def features(self) -> dict[str, np.ndarray]:
        """The arrays of the only embed stage."""
        (folder,) = self.artifacts("embed")
        with np.load(folder / "features.npz") as arrays:
            return {name: arrays[name] for name in arrays.files}

    def log(self) -> str:
        """The text of the logs of all stages."""
        return "".join(file.read_text() for file in sorted((self.store / "logs").iterdir()))


def errors(board: Leaderboard) -> dict[str, str]:
    """The reason of each row that has no numbers."""
    return {result.row.method: result.error for result in board.results if result.status != "ok"}


def scores(board: Leaderboard) -> dict[str, float]:
    """mAP of the first seed of each row that has one."""
    return {result.row.method: result.metrics["mAP"] for result in reversed(board.results) if result.status == "ok"}


@pytest.fixture
def bench(tmp_path: Path, market: Path) -> Bench:
    """On a folder of a few images."""
    return Bench(tmp_path, json.dumps({"use": "market-folder", "root": str(market)}))


@pytest.fixture
def rendered(tmp_path: Path) -> Bench:
    """On a rendered world."""
    return Bench(tmp_path, "{use: synthetic, world: plaza, size: tiny}")
