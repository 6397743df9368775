"""Calls of MLflow's client, with a client in this process: what is continued, what is skipped, and accepted names."""

from __future__ import annotations

from typing import Any

import pytest

from reidbench import TrackContext, TrackedRow, TrackedRun, TrackedStage

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")

from mlflow import MlflowClient
from mlflow.utils.validation import _validate_metric_name

from reidbench_mlflow.params import MlflowParams
from reidbench_mlflow.tracker import MlflowTracker, _name

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

RUN = TrackedRun(title="T", file="m.yaml", store="s", started="2026-01-01T00:00:00Z")
STAGE = TrackedStage(key="k" * 32, label="finetune bot", kind="finetune", use="bot", seed=0, params={"epochs": 3})


@pytest.fixture
def uri(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("sqlalchemy", reason="a database requires sqlalchemy, which is not installed")
    pytest.importorskip("alembic", reason="a database requires alembic, which is not installed")
    monkeypatch.chdir(tmp_path)  # of artifacts
    return f"sqlite:///{tmp_path}/mlflow.db"


def tracker(uri: str) -> MlflowTracker:
    return MlflowTracker(TrackContext(MlflowParams(uri=uri, experiment="E"), RUN, lambda text: None))


def test_a_resumed_stage_continues_its_run_and_logs_no_line_twice(uri: str) -> None:
    first = tracker(uri)
    first.stage_started(STAGE)
    for line in range(2):
        first.logged(STAGE, line, line, {"loss": 3.0 - line})
    first.stage_ended(STAGE, "stopped", 1.0, "")
    first.ended("interrupted", "")
    client = MlflowClient(uri)
    assert client.get_run(first.ids[STAGE.key]).info.status == "KILLED"
    assert client.get_run(first.parent).info.status == "KILLED"
    second = tracker(uri)
    second.stage_started(STAGE)
    assert client.get_run(second.ids[STAGE.key]).info.status == "RUNNING"
    for line in range(3):
        second.logged(STAGE, line, line, {"loss": 3.0 - line})
    second.stage_ended(STAGE, "done", 2.0, "")
    assert second.ids == first.ids
    history = client.get_metric_history(first.ids[STAGE.key], "loss")
    assert [(one.step, one.value) for one in history] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert client.get_run(first.ids[STAGE.key]).info.status == "FINISHED"


def test_a_failed_stage_and_a_row_without_one(uri: str) -> None:
    ours = tracker(uri)
    ours.stage_started(STAGE)
    ours.stage_ended(STAGE, "failed", 1.0, "it broke")
    row = TrackedRow(method="m", task="t", evaluator="cosine", seed=0, pretrain_seed=None, status="ok", stage="")
    ours.rows([row])
    ours.ended("failed", "# T")
    client = MlflowClient(uri)
    run = client.get_run(ours.ids[STAGE.key])
    assert (run.info.status, run.data.tags["reidbench.error"]) == ("FAILED", "it broke")
    assert client.get_run(ours.parent).info.status == "FAILED"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test/a->b/cosine/mAP", "test/a to b/cosine/mAP"),
        ("few labels: 10%", "few labels: 10_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_names_are_accepted(name: str, expected: str) -> None:
    assert _name(name) == expected
    _validate_metric_name(expected)
