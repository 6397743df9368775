"""MLflow has the runs: in a database by its client, and in a real server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import reidbench
from reidbench.store.artifacts import Store

mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

METHODS = "{bot: {finetune: {use: bot, epochs: 2, images: 2}}, also: {finetune: {use: bot, epochs: 2, images: 2}}}"


def run(file: Path, store: Path, uri: str) -> reidbench.Results:
    return reidbench.run(file, store=store, executor="inline", track={"mlflow": {"uri": uri}}, progress=False)


def found(uri: str, name: str) -> tuple[Any, Any, list[Any]]:
    """Client, parents and children of an experiment."""
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id])
    children = [one for one in runs if "mlflow.parentRunId" in one.data.tags]
    return client, [one for one in runs if one not in children], children


def check(uri: str, folder: Path, matrix: Callable[..., Path]) -> None:
    """A training is a nested run with its curve, parameters and results; a second run adds only a parent."""
    file = matrix(title="Two names", methods=METHODS)
    results = run(file, folder / "store", uri)
    client, (parent,), (child,) = found(uri, "Two names")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")
    assert child.info.run_name == "finetune bot [tiny, seed 0]"
    key = child.data.tags["reidbench.key"]
    tags = {name: child.data.tags[f"reidbench.{name}"] for name in ("methods", "tasks", "seed", "status", "data")}
    assert tags == {"methods": "bot, also", "tasks": "tiny", "seed": "0", "status": "done", "data": "source tiny"}
    assert child.data.params["epochs"] == "2"
    assert child.data.params["backbone.width"] == "4"
    log = (Store(folder / "store").path(key) / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in log]
    for name in ("loss", "lr"):
        curve = client.get_metric_history(child.info.run_id, name)
        assert [(one.step, one.value) for one in curve] == [(step, line[name]) for step, line in enumerate(lines)]
    assert child.data.metrics["test/tiny/cosine/mAP"] == results.board.results[0].metrics["mAP"]
    rows = json.loads(Path(client.download_artifacts(parent.info.run_id, "rows.json", str(folder))).read_text())
    assert [row["method"] for row in rows] == ["bot", "also"]
    board = Path(client.download_artifacts(parent.info.run_id, "leaderboard.md", str(folder))).read_text()
    assert board.startswith("# Two names\n")
    run(file, folder / "store", uri)
    client, parents, (again,) = found(uri, "Two names")
    assert len(parents) == 2
    assert again.data.to_dictionary() == child.data.to_dictionary()
    assert len(client.get_metric_history(child.info.run_id, "loss")) == 2


def test_a_database_has_each_training_once(tmp_path: Path, matrix: Callable[..., Path], monkeypatch: Any) -> None:
    pytest.importorskip("sqlalchemy", reason="a database requires sqlalchemy, which is not installed")
    pytest.importorskip("alembic", reason="a database requires alembic, which is not installed")
    monkeypatch.chdir(tmp_path)
    check(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, matrix)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server with an empty database."""
    pytest.importorskip("mlflow.server", reason="the server of mlflow is not installed")
    pytest.importorskip("flask", reason="the server of mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="the server of mlflow is not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (
        (tmp_path / "server.log").open("w") as log,
        subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=tmp_path, start_new_session=True
        ) as started,
    ):
        try:
            until = time.monotonic() + 300
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert started.poll() is None, (tmp_path / "server.log").read_text()
                assert time.monotonic() < until, (tmp_path / "server.log").read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(started.pid, 9)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - the test's own server
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.long
def test_a_server_has_each_training_once(server: str, tmp_path: Path, matrix: Callable[..., Path]) -> None:
    check(server, tmp_path, matrix)


@pytest.mark.long
def test_a_server_that_does_not_answer_is_reported_and_fails_nothing(
    tmp_path: Path, matrix: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    track = {"mlflow": {"uri": f"http://127.0.0.1:{port}"}}
    results = reidbench.run(matrix(), store=tmp_path / "store", executor="inline", track=track)
    assert [row.status for row in results.board.results] == ["ok"]
    assert capsys.readouterr().err.count("tracker mlflow failed, and the run continues without it: ") == 1
