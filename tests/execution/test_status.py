"""The state of a run, as another process reads it from the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench import report, run
from reidbench.execution import status
from reidbench.execution.standings import Standings
from reidbench.execution.status import Status
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.store import progress
from reidbench.store.artifacts import Store
from reidbench.store.progress import Progress
from reidbench.tuning import resolve

METHODS = "{untrained: {finetune: none}, toy: {finetune: {use: toy, epochs: 3}}}"


@pytest.fixture
def file(matrix: Callable[..., Path], site: Path) -> Path:
    return matrix(methods=METHODS, seeds="[0, 1]")


def read(file: Path, store: Store) -> Status:
    return status.status(resolve.resolve(reader.read(file, plugins.load()), store), store)


@pytest.mark.slow
def test_before_during_and_after_a_run(file: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    before = read(file, store)
    assert (before.state, before.rows, before.rows_done, before.done) == ("stopped", 4, 0, 0)
    assert before.waiting == before.stages
    assert not store.root.exists()  # reading creates nothing
    plan = resolve.resolve(reader.read(file, plugins.load()), store).plan
    (key,) = [key for key, stage in plan.stages.items() if stage.use == "toy" and stage.seed == 0]
    with store.needing(plan.stages), store.claim(key):
        progress.write(store, key, Progress(2, 3, 5.0, {"epoch": 2.0, "loss": 1.25}))
        during = read(file, store)
        (running,) = during.running
        assert (during.state, running.label, running.left) == ("running", plan.stages[key].label, 5.0)
        assert "epoch 2 of 3, loss 1.25" in running.words
        assert "about 5 s left, heartbeat 0 s ago" in running.words
        assert len(during.runs) == 1
        text = "\n".join(status.lines(during))
        assert "1 running" in text
        assert "remaining: about" in text
    run(file, store=store.root, executor="inline", progress=False)
    after = read(file, store)
    assert (after.state, after.rows_done, after.waiting, after.done) == ("finished", 4, 0, after.stages)
    assert after.version != during.version == before.version
    assert [(one.task, one.n, one.rows) for one in after.best] == [("tiny", 2, 2)]
    means = [one.mean for one in report.collect(plan, store).summary if one.metric == "mAP"]
    assert after.best[0].value == pytest.approx(max(means))
    assert "remaining" not in "\n".join(status.lines(after))


def test_a_failed_stage_blocks_what_follows(matrix: Callable[..., Path], site: Path, tmp_path: Path) -> None:
    file = matrix(methods=METHODS)
    store = Store(tmp_path / "store")
    store.prepare()
    plan = resolve.resolve(reader.read(file, plugins.load()), store).plan
    (key,) = [key for key, stage in plan.stages.items() if stage.use == "toy"]
    store.record_failure(key, "RuntimeError: no")
    found = read(file, store)
    assert list(found.failed.values()) == ["RuntimeError: no"]
    assert found.blocked == 2  # features and evaluation
    assert f"failed: {plan.stages[key].label}: RuntimeError: no" in list(status.lines(found))
    as_json = json.loads(json.dumps(status.as_json(found)))
    assert as_json["stages"]["failed"] == 1
    assert as_json["failed"] == [{"stage": plan.stages[key].label, "error": "RuntimeError: no"}]


@pytest.mark.slow
def test_a_run_in_another_process_is_seen_with_its_epoch(
    matrix: Callable[..., Path], site: Path, tmp_path: Path
) -> None:
    file = matrix(methods="{toy: {finetune: {use: toy, epochs: 400, seconds: 0.25}}}")
    store = Store(tmp_path / "store")
    command = [sys.executable, "-m", "reidbench", "run", str(file), "--store", str(store.root)]
    places = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=tmp_path, env=places) as other:
        try:
            deadline = time.monotonic() + 120
            while not ((found := read(file, store)).running and found.running[0].progress.done):
                assert other.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        finally:
            other.kill()
    (running,) = found.running
    assert running.progress.total == 10  # the toy reports ten steps of each epoch
    assert running.progress.metrics["epoch"] >= 0
    assert str(other.pid) in found.runs[0].owner
    deadline = time.monotonic() + 60
    while read(file, store).state == "running":  # its worker notices that it is gone
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert read(file, store).state == "stopped"


@pytest.mark.slow
def test_the_best_rows_of_a_task_and_of_a_result(file: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run(file, store=store.root, executor="inline", progress=False)
    plan = resolve.resolve(reader.read(file, plugins.load()), store).plan
    standings = Standings(plan, store)
    (best,) = standings.best()
    assert standings.best_with(plan.rows[0].key or "") == [best]
    assert standings.best_with("unknown") == []
    assert best.words.startswith(f"tiny: {best.method}, mAP {100 * best.value:.1f} % (2 of 2 seeds; ")
