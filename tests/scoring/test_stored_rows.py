"""A row of features under each rule: labels come from the data set, and `score` of what is stored gives its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench import report
from reidbench.matrix.stage import Plan
from reidbench.report.results import Result
from reidbench.store.artifacts import Store
from tests.support.labelled_line import DATA, write_labelled_line
from tests.support.lines import run_line
from tests.support.scores import scored

RULES: list[tuple[str, dict[str, Any]]] = [
    ("exclude: [same-clothes]", {"exclude": ["same-clothes"]}),
    ("exclude: [different-clothes]", {"exclude": ["different-clothes"]}),
    ("cross: modality", {"cross": "modality"}),
    ("skip_cameras: {'0': [1]}, camera: none", {"skip_cameras": {0: [1]}, "camera": "none"}),
    ("query_cameras: [0], gallery_cameras: [1]", {"query_cameras": [0], "gallery_cameras": [1]}),
    ("pool: max", {"pool": "max"}),
    ("multi_query: true", {"multi_query": True}),
    ("shots: 1, repeats: 3, draw_seed: 2", {"shots": 1, "repeats": 3, "seed": 2}),
    ("cmc: identities, invalid: zero", {"cmc": "identities", "invalid": "zero"}),
]
Made = tuple[Plan, Store]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("line")
    write_labelled_line(folder)
    evaluators = ", ".join(f"{{use: euclidean, {params}}}" for params, _ in RULES)
    return run_line(folder, f"[{evaluators}]", "near: {features: near.npz}", data=DATA)


def results(made: Made) -> list[Result]:
    board = report.collect(*made)
    return [board.cell("near", "t", label)[0] for label in board.evaluators]


def features(made: Made) -> Path:
    (key,) = (key for key, stage in made[0].stages.items() if stage.kind == "embed")
    return made[1].read(key).path / "features.npz"


def test_labels_of_a_file_from_outside_are_those_of_the_data_set(made: Made) -> None:
    """near.npz has names and features alone."""
    with np.load(features(made)) as columns:
        assert columns["query_clothes"].tolist() == [0, 0, 1, 0, 0, 0]
        assert columns["gallery_clothes"].tolist() == [0, 0, 1, -1, 2, 1, 0, -1]
        assert columns["query_tracklets"].tolist() == [1, 1, -1, -1, -1, -1]
        cameras = {0: "visible", 1: "infrared"}
        assert columns["gallery_modality"].tolist() == [cameras[camid] for camid in [1, 0, 0, 1, 1, 1, 0, 1]]


@pytest.mark.parametrize("number", range(len(RULES)), ids=[params for params, _ in RULES])
def test_score_gives_the_numbers_of_the_row_to_the_bit(number: int, made: Made) -> None:
    row = results(made)[number]
    assert row.error in (None, "")
    found = scored(features(made), distance="euclidean", more=RULES[number][1])
    assert found["mAP"] == row.metrics["mAP"]
    assert found["mINP"] == row.metrics["mINP"]
    assert {f"cmc{rank}": value for rank, value in found["cmc"].items()} == {
        name: value for name, value in row.metrics.items() if name.startswith("cmc")
    }
    noted = [note.partition(": ")[2] for note in row.notes]
    assert [note for note in found.get("notes", []) if note not in noted] == []
