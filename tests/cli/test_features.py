"""A row of files from the command line: planned, run, printed, cleaned, and refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.data import read_market_folder


def program(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main.app, [*map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def write(folder: Path, market: Path) -> None:
    """Features that know each person: unit vectors by pid."""
    data = read_market_folder(market)
    paths = [*data.query.paths, *data.gallery.paths]
    pids = np.concatenate([data.query.pids, data.gallery.pids])
    np.savez(folder / "theirs.npz", features=np.eye(10)[pids], names=np.array(paths))


@pytest.mark.slow
def test_plan_run_table_and_clean(matrix: Callable[..., Path], tmp_path: Path, market: Path) -> None:
    write(tmp_path, market)
    file = matrix(methods="{theirs: {features: theirs.npz, uses: [source labels]}}", backbone="")
    store = ("--store", tmp_path / "store")
    code, out, _ = program("plan", file, *store)
    assert code == 0
    assert "features" in out
    code, _, err = program("run", file, *store)
    assert code == 0, err
    code, out, _ = program("table", file, *store)
    assert code == 0
    (row,) = [line for line in out.splitlines() if line.startswith("| theirs")]
    assert "100.0" in row
    assert "declared: source labels" in row
    assert program("clean", file, *store)[0] == 0
    assert program("table", file, *store)[1] == out  # what it needs was kept


def test_a_missing_file_is_a_sentence_with_its_line(matrix: Callable[..., Path], tmp_path: Path) -> None:
    file = matrix(methods="{theirs: {features: gone.npz}}")
    line = file.read_text().splitlines().index("methods: {theirs: {features: gone.npz}}") + 1
    words = [sys.executable, "-m", "reidbench", "plan", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"matrix.yaml:{line}: methods.theirs.features: no such file or folder: " in done.stderr
    assert "Traceback" not in done.stderr
