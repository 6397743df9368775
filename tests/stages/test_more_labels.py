"""Labels beyond identity reach the methods that declare them, and no other; evaluators are given all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.report import Leaderboard
from reidbench.testing import run_matrix, write_market_folder

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

MORE = ",clothes,modality,tracklet,attributes"
TABLE = """
image_size: [32, 16]
backbone: {{use: resnet-tiny, width: 4}}
data: {{m: {{use: csv-manifest, root: {manifest}}}}}
tasks: {{t: {{source: m, target: m}}}}
methods: {methods}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """The pictures of a Market-1501-style folder, with a label of each kind."""
    root = write_market_folder(tmp_path / "people", identities=4, cameras=2)
    parts = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
    lines = ["path,pid,camid,split" + MORE]
    for number, (part, folder) in enumerate(parts.items()):
        for file in sorted((root / folder).iterdir()):
            pid, camera = int(file.name.split("_")[0]), int(file.name.split("_")[1][1]) - 1
            labels = f"{pid % 2},{('visible', 'infrared')[camera]},{1000 * number + 100 * pid + camera},hat=yes"
            lines += [f"{folder}/{file.name},{pid},{camera},{part},{labels}"] * (pid > 0)
    listed = root / "labels.csv"
    listed.write_text("\n".join(lines) + "\n")
    return listed


def ran(tmp_path: Path, manifest: Path, methods: str) -> tuple[Leaderboard, list[dict[str, Any]]]:
    board = run_matrix(TABLE.format(manifest=manifest, methods=methods), tmp_path)
    assert [result.status for result in board.results] == ["ok"], board.results
    files = sorted(tmp_path.glob("store/objects/*/facts.json"))
    return board, [json.loads(file.read_text()) for file in files]


def test_a_method_that_declares_nothing_is_given_none(tmp_path: Path, manifest: Path, site: Path) -> None:
    board, facts = ran(tmp_path, manifest, "{m: {finetune: labelled, adapt: labelled-more}}")
    assert [one[side] for one in facts for side in ("source", "target") if side in one] == [{}, {}, {}]
    assert board.results[0].row.protocol == "source labels, target images, target is a source, AP step"


def test_a_method_is_given_what_it_declares_and_its_row_says_so(tmp_path: Path, manifest: Path, site: Path) -> None:
    methods = (
        "{m: {finetune: {use: labelled, see: [modality]}, adapt: {use: labelled-more, see: [tracklets, attributes]}}}"
    )
    board, facts = ran(tmp_path, manifest, methods)
    tuned, adapted = sorted(facts, key=len)
    assert tuned["source"] == {"modality": ["infrared", "visible"]}
    for side in ("source", "target"):
        assert adapted[side]["hat"] == ["yes"]
        assert set(adapted[side]) == {"tracklets", "hat"}
    protocol = board.results[0].row.protocol.split(", ")
    assert {"modality", "tracklets", "attributes"} <= set(protocol)
    assert "clothes" not in protocol


def test_features_are_published_with_the_labels_that_evaluators_are_given(
    tmp_path: Path, manifest: Path, site: Path
) -> None:
    ran(tmp_path, manifest, "{m: {finetune: labelled}}")
    (file,) = tmp_path.glob("store/objects/*/features.npz")
    with np.load(file) as columns:  # no object needs unpickling
        assert columns["query_modality"].tolist() == [
            ("visible", "infrared")[camid] for camid in columns["query_camids"]
        ]
        walks = 2000 + 100 * columns["gallery_pids"] + columns["gallery_camids"]
        assert columns["gallery_tracklets"].tolist() == walks.tolist()
        assert columns["query_clothes"].tolist() == (columns["query_pids"] % 2).tolist()


def test_where_one_side_has_a_label_it_is_unknown_on_the_other(tmp_path: Path, manifest: Path, site: Path) -> None:
    """As Market-1501's gallery has no tracklets, whose queries may be several boxes."""
    lines = [line.split(",") for line in manifest.read_text().splitlines()]
    for cells in lines[1:]:
        if cells[3] != "query":
            cells[4:7] = "", "", ""
    manifest.write_text("".join(",".join(cells) + "\n" for cells in lines))
    methods = "{m: {finetune: labelled}}\nevaluate: [cosine, {use: cosine, pool: mean}]"
    board = run_matrix(TABLE.format(manifest=manifest, methods=methods), tmp_path)
    assert [result.status for result in board.results] == ["ok", "ok"], board.results
    (file,) = tmp_path.glob("store/objects/*/features.npz")
    with np.load(file) as columns:
        assert set(columns["query_clothes"].tolist()) == {0, 1}
        assert set(columns["gallery_clothes"].tolist()) == set(columns["gallery_tracklets"].tolist()) == {-1}
        assert set(columns["gallery_modality"].tolist()) == {""}
        assert all(len(columns[f"gallery_{name}"]) == len(columns["gallery_pids"]) for name in ("clothes", "modality"))
