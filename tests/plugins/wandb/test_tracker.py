"""Weights & Biases writes offline runs, which its own reader reads back. Nothing is sent."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reidbench
from reidbench.store.artifacts import Store

pytest.importorskip("wandb", reason="the extra wandb is not installed")

from wandb.proto.wandb_internal_pb2 import Record

pytestmark = pytest.mark.filterwarnings("ignore")  # W&B's own

METHODS = "{bot: {finetune: {use: bot, epochs: 2, images: 2}}}"


BLOCK, FULL, LAST = 32768, 1, 4  # W&B's log has the layout of LevelDB's, after a header of 7 bytes


def records(folder: Path) -> list[Any]:
    """All records of an offline run."""
    (file,) = folder.glob("run-*.wandb")
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    at, parts, found = 7, b"", []
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # the rest of a block is too short for a record's header
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            found.append(Record.FromString(parts))
            parts = b""
    return found


def items(changes: Any) -> dict[str, Any]:
    return {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in changes}


def test_an_offline_run_has_curves_config_and_results(
    matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "")
    file, folder = matrix(title="Mine", methods=METHODS), tmp_path / "out"
    track = {"wandb": {"mode": "offline", "folder": str(folder), "project": "reid"}}

    def run() -> reidbench.Results:
        return reidbench.run(file, store=tmp_path / "store", executor="inline", track=track, progress=False)

    results = run()
    stages = {path: records(path) for path in (folder / "wandb").glob("offline-run-*")}
    runs = {path: next(one.run for one in found if one.HasField("run")) for path, found in stages.items()}
    assert sorted(run.job_type for run in runs.values()) == ["finetune", "matrix"]
    (place,) = (path for path, run in runs.items() if run.job_type == "finetune")
    ours, started = stages[place], runs[place]
    assert (started.project, started.run_group, started.display_name) == ("reid", "Mine", "finetune bot [tiny, seed 0]")
    assert list(started.tags) == ["bot"]
    config = items(started.config.update)
    assert (config["epochs"], config["backbone.width"], config["stage"]["seed"]) == (2, 4, 0)
    assert config["stage"]["key"] == started.run_id
    log = Store(tmp_path / "store").path(started.run_id) / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    history = [items(one.history.item) for one in ours if one.HasField("history")]
    assert [(one["_step"], one["loss"], one["lr"]) for one in history] == [
        (number, line["loss"], line["lr"]) for number, line in enumerate(lines)
    ]
    summary: dict[str, Any] = {}
    for one in ours:
        if one.HasField("summary"):
            summary |= items(one.summary.update)
    assert summary["test/tiny/cosine/mAP"] == results.board.results[0].metrics["mAP"]
    assert summary["reidbench/status"] == "done"
    (exit_code,) = [one.exit.exit_code for one in ours if one.HasField("exit")]
    assert exit_code == 0
    run()
    again = sorted((folder / "wandb").glob("offline-run-*"))
    assert len(again) == 3  # one more of the rows: the training is complete
    assert place in again
