"""`reidbench status`: words for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from reidbench import run
from reidbench.cli import main


def status(*arguments: str) -> str:
    done = CliRunner().invoke(main.app, ["status", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_before_and_after_a_run(matrix: Callable[..., Path], tmp_path: Path) -> None:
    file, store = matrix(), tmp_path / "store"
    lines = status(str(file), "--store", str(store)).splitlines()
    assert lines[0] == "Test: stopped; 0 of 1 results"
    assert lines[-1] == "remaining: unknown (4 stages without an estimate), 1 stage at a time"
    run(file, store=store, executor="inline", progress=False)
    lines = status(str(file), "--store", str(store)).splitlines()
    assert lines[:2] == ["Test: finished; 1 of 1 results", "stages: 4 of 4 done, 0 to run"]
    assert lines[2].startswith("best so far: tiny: untrained, mAP ")
    assert len(lines) == 3
    found = json.loads(status(str(file), "--store", str(store), "--json"))
    assert (found["state"], found["rows"]["done"], found["running"]) == ("finished", 1, [])
    assert found["best"][0]["metric"] == "mAP"


def test_one_store_at_a_time(matrix: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    stores = ["--store", str(tmp_path / "one"), "--store", str(tmp_path / "two")]
    assert CliRunner().invoke(main.app, ["status", str(matrix()), *stores]).exit_code == 1
