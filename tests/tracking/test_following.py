"""Trackers receive the events of a run with any executor, and change nothing about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reidbench
from reidbench.store.artifacts import Store
from reidbench.tracking import channel

pytestmark = pytest.mark.slow

Calls = Callable[[], list[dict[str, Any]]]
SEEDS = {"seeds": "[0, 1]"}
TOY = {**SEEDS, "methods": "{toy: {finetune: {use: toy, epochs: 2}}, also: {finetune: {use: toy, epochs: 2}}}"}


def run(file: Path, store: Path, scribe: Path, executor: str = "inline", **options: Any) -> reidbench.Results:
    track = {"scribe": {"file": str(scribe), **options}}
    return reidbench.run(file, store=store, executor=executor, track=track, progress=False)


def files(store: Path) -> dict[str, dict[str, Any]]:
    """The published files of each artifact with their hashes."""
    found = Store(store)
    return {key: found.manifest(key).manifest["files"] for key in found.keys()}  # noqa: SIM118 - a method


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_run_is_told_in_order(
    executor: str, matrix: Callable[..., Path], tmp_path: Path, scribe: Path, calls: Calls
) -> None:
    """One entry for a training that two methods share, with its log; then the rows that the tables show."""
    results = run(matrix(**TOY), tmp_path / "store", scribe, executor)
    told = calls()
    first, last = told[0], told[-1]
    assert (first["call"], first["run"]["title"], first["run"]["seeds"]) == ("started", "Test", [0, 1])
    assert first["run"]["methods"] == ["toy", "also"]
    assert set(first["run"]["versions"]) >= {"reidbench", "python", "torch", "reidbench-toy-plugin:toy_plugin"}
    assert not first["torch"]
    assert (last["call"], last["status"]) == ("ended", "finished")
    assert last["leaderboard"].startswith("# Test\n")
    stages = {call["stage"]["key"]: call["stage"] for call in told if call["call"] == "stage_started"}
    assert {(one["kind"], one["use"], one["seed"]) for one in stages.values()} == {
        ("finetune", "toy", seed) for seed in (0, 1)
    }
    for key, one in stages.items():
        assert (one["methods"], one["tasks"], one["data"]) == (["toy", "also"], ["tiny"], {"source": "tiny"})
        expected = {"epochs": 2, "seconds": 0.0, "backbone": "resnet-tiny", "backbone.width": 4, "image_size": "32x16"}
        assert one["params"].items() >= expected.items()
        assert Path(one["links"]["artifact"]).is_dir()
        mine = [call for call in told if call.get("key") == key]
        assert [(call["call"], call.get("line"), call.get("step")) for call in mine] == [
            ("logged", 0, 0), ("logged", 1, 1), ("stage_ended", None, None),
        ]  # fmt: skip
        assert mine[1]["metrics"] == {"epoch": 1.0}
        assert (mine[-1]["status"], mine[-1]["error"]) == ("done", "")
    (rows,) = [call["rows"] for call in told if call["call"] == "rows"]
    assert [(row["method"], row["seed"]) for row in rows] == [("toy", 0), ("toy", 1), ("also", 0), ("also", 1)]
    assert [row["metrics"] for row in rows] == [dict(result.metrics) for result in results.board.results]
    assert {row["stage"] for row in rows} == set(stages)


def test_results_are_the_same_with_and_without_a_tracker(
    matrix: Callable[..., Path], tmp_path: Path, scribe: Path
) -> None:
    file = matrix(**TOY)
    run(file, tmp_path / "with", scribe)
    reidbench.run(file, store=tmp_path / "without", executor="inline", progress=False)
    assert files(tmp_path / "with") == files(tmp_path / "without")


def test_cached_stages_are_told_from_the_store(
    matrix: Callable[..., Path], tmp_path: Path, scribe: Path, calls: Calls
) -> None:
    file = matrix(**TOY)
    reidbench.run(file, store=tmp_path / "store", executor="inline", progress=False)
    run(file, tmp_path / "store", scribe)
    told = calls()
    assert [call["call"] for call in told] == [
        "started", *["stage_started", "logged", "logged", "stage_ended"] * 2, "rows", "ended",
    ]  # fmt: skip
    assert {call["status"] for call in told if call["call"] == "stage_ended"} == {"cached"}
    store = Store(tmp_path / "store")
    for call in told:
        if call["call"] == "stage_ended":
            assert call["seconds"] == store.manifest(call["key"]).manifest["seconds"]


def test_a_failed_stage_is_told_with_its_reason(
    matrix: Callable[..., Path], tmp_path: Path, scribe: Path, calls: Calls
) -> None:
    run(matrix(methods="{toy: {finetune: {use: toy, fail: raise}}}"), tmp_path / "store", scribe)
    told = calls()
    assert [call["call"] for call in told] == ["started", "stage_started", "stage_ended", "rows", "ended"]
    assert (told[2]["status"], told[2]["error"]) == ("failed", "RuntimeError: it went wrong")
    assert [row["status"] for row in told[3]["rows"]] == ["blocked"]
    assert told[4]["status"] == "failed"


@pytest.mark.parametrize(
    ("fail", "how", "reason"),
    [
        ("started", "raise", "RuntimeError: no server"),
        ("logged", "raise", "RuntimeError: no server"),
        ("stage_ended", "exit", "its process ended with exit code 7: the last words"),
        ("ended", "raise", "RuntimeError: no server"),
    ],
)
def test_a_failing_tracker_is_reported_once_and_fails_nothing(
    fail: str,
    how: str,
    reason: str,
    matrix: Callable[..., Path],
    tmp_path: Path,
    scribe: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    track = {"scribe": {"file": str(scribe), "fail": fail, "how": how}}
    results = reidbench.run(matrix(**TOY), store=tmp_path / "store", executor="inline", track=track)
    assert {row.status for row in results.board.results} == {"ok"}
    lines = [line for line in capsys.readouterr().err.splitlines() if "tracker scribe" in line]
    assert lines == [f"note: tracker scribe failed, and the run continues without it: {reason}"]


def test_a_tracker_that_hangs_delays_no_stage_and_is_killed(
    matrix: Callable[..., Path],
    tmp_path: Path,
    scribe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(channel, "SOON", 0.2)
    monkeypatch.setattr(channel, "PATIENCE", 1.0)
    track = {"scribe": {"file": str(scribe), "fail": "started", "how": "hang"}}
    results = reidbench.run(matrix(), store=tmp_path / "store", executor="inline", track=track)
    assert [row.status for row in results.board.results] == ["ok"]
    told = capsys.readouterr().err
    assert "note: waiting for tracker scribe, which sends the rest of the run; Ctrl-C ends it" in told
    assert told.count("tracker scribe failed") == 1
    assert "it has processed nothing for 1 seconds" in told


COMMAND = [sys.executable, "-m", "reidbench", "run"]


def test_an_interrupted_run_ends_its_entries(
    matrix: Callable[..., Path], tmp_path: Path, scribe: Path, calls: Calls, interruptible: None
) -> None:
    """Ctrl-C stops the stage at its checkpoint; the resumed one has the same key, and repeats its lines."""
    file = matrix(methods="{toy: {finetune: {use: toy, epochs: 6, seconds: 0.5}}}")
    command = [*COMMAND, str(file), "--store", str(tmp_path / "store"), "--track", "scribe"]
    command += ["--track-option", f"scribe.file={scribe}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True) as started:
        until = time.monotonic() + 120
        while time.monotonic() < until and not (scribe.exists() and scribe.read_text().count('"logged"') >= 2):
            time.sleep(0.05)
        os.killpg(started.pid, signal.SIGINT)
        started.communicate()
    assert started.returncode == 130
    told = calls()
    assert [(call["call"], call.get("status")) for call in told[-2:]] == [
        ("stage_ended", "stopped"),
        ("ended", "interrupted"),
    ]
    lines = [call["line"] for call in told if call["call"] == "logged"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    again = calls()
    assert told[1]["stage"] == again[1]["stage"]
    assert [call["line"] for call in again if call["call"] == "logged"] == list(range(6))
    assert 2 <= len(lines) < 6
    assert (again[-1]["call"], again[-1]["status"]) == ("ended", "finished")


def test_a_killed_run_is_told_as_interrupted(
    matrix: Callable[..., Path], tmp_path: Path, scribe: Path, calls: Calls
) -> None:
    file = matrix(methods="{toy: {finetune: {use: toy, epochs: 100, seconds: 0.5}}}")
    command = [*COMMAND, str(file), "--store", str(tmp_path / "store"), "--track", "scribe"]
    command += ["--track-option", f"scribe.file={scribe}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    until = time.monotonic() + 120
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as started:
        while time.monotonic() < until and not (scribe.exists() and '"logged"' in scribe.read_text()):
            time.sleep(0.05)
        started.kill()
    while time.monotonic() < until and '"ended"' not in scribe.read_text():
        time.sleep(0.05)
    assert [(call["call"], call.get("status")) for call in calls()[-2:]] == [
        ("stage_ended", "stopped"),
        ("ended", "interrupted"),
    ]
