"""The code that docs/how-to/write-a-plugin.md quotes: the example plugin, and a wrapped repository."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import reidbench
from reidbench import Embedded, EvaluateContext, scaffold
from reidbench.hookspecs import Kind
from reidbench.store.artifacts import Store
from reidbench.testing import check_plugin, installed, run_matrix

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "example_plugin"
PACKAGE = EXAMPLE / "reidbench_example"
NAMES: dict[Kind, str] = {
    "dataset": "example-people",
    "backbone": "example-network",
    "selector": "example-selector",
    "pretrainer": "example-pretrainer",
    "preparer": "example-pixels",
    "finetuner": "example",
    "adapter": "example-adapter",
    "evaluator": "precision-at",
}
LOSSES = EXAMPLE / "tracker" / "reidbench_losses"
PREFIX = EXAMPLE / "executor" / "reidbench_prefix"
WRAPPED = EXAMPLE / "wrapped" / "reidbench_wrapped"
TEXT = (ROOT / "docs" / "how-to" / "write-a-plugin.md").read_text()
THEIRS = """
import torch


def build_model():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, stride=2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def extract(model, images):
    return model(images)
"""


def test_the_contracts_are_listed() -> None:
    words = re.findall(r"^\| `([a-z ]+)` \| ", TEXT.split("## The contracts")[1].split("\n## ")[0], re.MULTILINE)
    said = set()
    for file in (ROOT / "reidbench" / "check").glob("*.py"):
        said |= set(
            re.findall(
                r"f?\"(import|readme|params|shapes|determinism|resume|global state|files|requires|offers|version|run)"
                ": ",
                file.read_text(),
            )
        )
    assert set(words) == said


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
def test_each_component_is_what_reidbench_new_writes(kind: Kind, name: str) -> None:
    code = f"{scaffold.KINDS[kind].code}.py"
    assert scaffold.render(name, kind)[f"{scaffold.names(name)['module']}/{code}"] == (PACKAGE / code).read_text()


@pytest.mark.slow
def test_the_example_plugin_keeps_the_contracts() -> None:
    report = check_plugin(EXAMPLE)
    statuses = {line.name: line.status for line in report.lines}
    names = ("reidbench-example:example", *NAMES.values(), "example-pixels-user")
    assert statuses == dict.fromkeys(names, "ok"), str(report)


def test_precision_by_hand() -> None:
    """One query; in order of distance: its own camera's image and junk (left out), right, wrong, right."""
    with installed(EXAMPLE):
        from reidbench_example import EvaluatorParams
        from reidbench_example.evaluation import evaluate

        angles = np.radians([0, 1, 5, 10, 20])
        gallery = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
        query = Embedded(np.array([[2, 0]], np.float32), np.array([7]), np.array([0]))
        pids, camids = np.array([7, -1, 7, 8, 7]), np.array([0, 1, 1, 0, 1])
        values = []
        for k in (1, 2, 3):
            context = object.__new__(EvaluateContext)
            object.__setattr__(context, "params", EvaluatorParams(k=k))
            object.__setattr__(context, "query", query)
            object.__setattr__(context, "gallery", Embedded(gallery, pids, camids))
            values.append(evaluate(context).values["precision"])
    assert values == [1, 1 / 2, pytest.approx(2 / 3)]


def test_method_data_and_evaluator_make_a_table(tmp_path: Path) -> None:
    with installed(EXAMPLE):
        from reidbench_example.reader import example

        root = example(tmp_path / "data").root
        board = run_matrix(
            f"""
image_size: [32, 16]
data: {{mine: {{use: example-people, root: {root}}}}}
tasks: {{t: {{source: mine, target: mine}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, {{use: precision-at, k: 1}}]
methods: {{mine: {{finetune: {{use: example, epochs: 2, identities: 4, images: 2}}}}}}
""",
            tmp_path,
        )
    by_evaluator = {result.row.evaluator: result for result in board.results}
    assert {result.status for result in board.results} == {"ok"}
    first = by_evaluator["cosine"].metrics["cmc1"]
    assert by_evaluator["precision-at"].metrics["precision"] == pytest.approx(first)  # at k = 1 it equals rank 1
    assert "cosine" in by_evaluator["precision-at"].row.protocol


def test_twenty_lines_wrap_a_repository(tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for file in WRAPPED.glob("*.py") for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) <= 20
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "their_repository.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path / "theirs"))
    monkeypatch.delitem(sys.modules, "their_repository", raising=False)
    from their_repository import build_model

    torch.manual_seed(5)
    model = build_model()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    with installed(WRAPPED):
        board = run_matrix(
            f"""
image_size: [32, 16]
data: {{m: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{target: m}}}}
backbone: resnet-tiny
methods: {{theirs: {{finetune: {{use: theirs, weights: {tmp_path / "weights.pth"}}}}}}}
""",
            tmp_path,
        )
    (row,) = board.results
    assert row.status == "ok", row.error
    from PIL import Image

    (features,) = (tmp_path / "store").glob("objects/*/features.npz")
    picture = next(iter(sorted((market / "query").iterdir())))
    pixels = np.asarray(Image.open(picture), dtype=np.float32) / 255
    normal = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        expected = model(torch.from_numpy(normal.astype(np.float32)).permute(2, 0, 1)[None])
    np.testing.assert_allclose(np.load(features)["query_features"][0], expected[0], atol=1e-5)


def test_the_example_is_a_package_that_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["reidbench_example-0.1.0-py3-none-any.whl"]


@pytest.mark.slow
def test_a_tracker_receives_the_losses_of_a_run(tmp_path: Path, matrix: Callable[..., Path]) -> None:
    file, losses = matrix(methods="{bot: {finetune: {use: bot, epochs: 2, images: 2}}}"), tmp_path / "losses.csv"
    with installed(LOSSES):
        track = {"losses": {"file": str(losses)}}
        for _ in range(2):
            reidbench.run(file, store=tmp_path / "store", executor="inline", track=track, progress=False)
    (key, label, first, loss), (same, _, second, again) = csv.reader(losses.read_text().splitlines())
    assert (label, first, second, same) == ("finetune bot [tiny, seed 0]", "done", "cached", key)
    log = (Store(tmp_path / "store").path(key) / "log.jsonl").read_text().splitlines()
    assert float(loss) == float(again) == json.loads(log[-1])["loss"]


@pytest.mark.slow
def test_an_executor_gives_the_bytes_of_this_process(tmp_path: Path, matrix: Callable[..., Path]) -> None:
    file = matrix(
        methods="{bot: {finetune: {use: bot, epochs: 1}}, lost: {finetune: {use: onnx, file: FILE}}}".replace(
            "FILE", str(tmp_path / "net.onnx")
        )
    )
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    with installed(PREFIX):
        found = [
            reidbench.run(file, store=tmp_path / name, executor=name, options=options, progress=False)
            for name, options in {"inline": (), "prefix": ["command=nice -n 1"]}.items()
        ]
    assert [row.status for row in found[0].board.results] == ["ok", "blocked"]
    assert found[0].board.results == found[1].board.results
    bytes_of = [
        {key: store.read(key).manifest["files"] for key in store.keys()}  # noqa: SIM118 - a method, not a mapping
        for store in (Store(tmp_path / name) for name in ("inline", "prefix"))
    ]
    assert bytes_of[0] == bytes_of[1]
    assert not list((tmp_path / "prefix" / "specs").iterdir())
