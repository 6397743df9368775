"""TensorBoard reads the runs: curves, parameters, results and texts, each once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reidbench
from reidbench import TrackContext, TrackedRow, TrackedRun, TrackedStage
from reidbench.store.artifacts import Store

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from reidbench_tensorboard.params import TensorboardParams
from reidbench_tensorboard.tracker import TensorboardTracker

RUN = TrackedRun(title="A title / b", file="m.yaml", store="s", started="2026-01-01T00:00:00Z", seeds=(0,))
STAGE = TrackedStage(
    key="0123456789abcdef", label="finetune bot [p, seed 0]", kind="finetune", use="bot", seed=0,
    params={"epochs": 2, "lr": 0.5, "flip": True, "weights": None, "image_size": "32x16"}, methods=("bot", "also"),
    tasks=("p->q",), data={"source": "p"},
)  # fmt: skip
ROW = TrackedRow(
    method="bot", task="p->q", evaluator="cosine", seed=0, pretrain_seed=None, status="ok",
    metrics={"mAP": 0.25, "cmc1": 0.5}, key="f" * 16, stage=STAGE.key,
)  # fmt: skip


def tracker(folder: Path, notes: list[str] | None = None) -> TensorboardTracker:
    told = [] if notes is None else notes
    return TensorboardTracker(TrackContext(TensorboardParams(folder=folder), RUN, told.append))


def read(folder: Path) -> Any:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def trained(tracker: TensorboardTracker, lines: int = 2, status: str = "done") -> Path:
    tracker.stage_started(STAGE)
    for line in range(lines):
        tracker.logged(STAGE, line, 10 * line, {"loss": 2.0 - line, "lr": 0.5})
    tracker.stage_ended(STAGE, status, 1.5, "it broke" if status == "failed" else "")
    return tracker.folder / "finetune-bot-p-seed-0-01234567"


def test_a_run_has_curves_parameters_and_results(tmp_path: Path) -> None:
    notes: list[str] = []
    ours = tracker(tmp_path, notes)
    place = trained(ours)
    ours.rows([ROW])
    ours.ended("finished", "# A title\n")
    assert curve(place, "loss") == [(0, 2.0), (10, 1.0)]
    assert curve(place, "test/p->q/cosine/mAP") == [(0, 0.25)]
    events = read(place)
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    found = {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in start.hparams.items()}
    assert start.group_name == STAGE.key
    assert found == {
        "epochs": 2, "lr": 0.5, "flip": True, "weights": "none", "image_size": "32x16", "kind": "finetune",
        "use": "bot", "seed": 0, "methods": "bot, also", "tasks": "p->q", "data.source": "p",
    }  # fmt: skip
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 1  # success, in api.proto
    board = read(tmp_path / "A-title-b" / "leaderboard")
    (text,) = board.Tensors("leaderboard")
    assert text.tensor_proto.string_val == [b"# A title\n"]
    assert "status: finished" in board.Tensors("run")[0].tensor_proto.string_val[0].decode()
    assert notes == [f"curves are in {tmp_path}/A-title-b; view them with: tensorboard --logdir {tmp_path}"]


def test_a_resumed_stage_has_each_line_once_and_a_done_one_is_kept(tmp_path: Path) -> None:
    place = trained(tracker(tmp_path), lines=1, status="stopped")
    trained(tracker(tmp_path), lines=3)  # it repeats its first line
    assert [step for step, _ in curve(place, "loss")] == [0, 10, 20]
    before = {file: file.read_bytes() for file in place.iterdir()}
    assert len(before) == 2
    again = tracker(tmp_path)
    trained(again, lines=3, status="cached")
    assert {file: file.read_bytes() for file in place.iterdir()} == before
    for _ in range(2):
        again.rows([ROW])
    assert curve(place, "test/p->q/cosine/cmc1") == [(0, 0.5)]


def test_a_failed_stage_has_its_reason(tmp_path: Path) -> None:
    events = read(trained(tracker(tmp_path), status="failed"))
    assert events.Tensors("error")[0].tensor_proto.string_val == [b"it broke"]
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 2  # failure


def test_a_row_without_a_training_adds_to_no_run(tmp_path: Path) -> None:
    ours = tracker(tmp_path)
    ours.rows([TrackedRow(**{**ROW.__dict__, "stage": ""}), ROW])
    assert list(ours.folder.iterdir()) == []


@pytest.mark.slow
def test_a_run_is_live_and_imports_no_torch(matrix: Callable[..., Path], tmp_path: Path) -> None:
    """The curve of a trained row is its log in the store, to float32."""
    results = reidbench.run(
        matrix(methods="{bot: {finetune: {use: bot, epochs: 2, images: 2}}}"), store=tmp_path / "store",
        executor="inline", track={"tensorboard": {"folder": str(tmp_path / "runs")}}, progress=False,
    )  # fmt: skip
    (place,) = (tmp_path / "runs" / "Test").glob("finetune-bot-*")
    entry = json.loads((place / "stage.json").read_text())
    log = Store(tmp_path / "store").path(entry["key"]) / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 2
    assert curve(place, "loss") == [(n, pytest.approx(line["loss"], rel=1e-6)) for n, line in enumerate(lines)]
    assert curve(place, "test/tiny/cosine/mAP") == [
        (0, pytest.approx(results.board.results[0].metrics["mAP"], rel=1e-6))
    ]
    code = "import sys, reidbench_tensorboard.tracker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
