"""The evaluate stage on features that cannot be ranked: a reason or a note in the row, never a bare number."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.testing import make_plugin, run_matrix, write_market_folder

CODES = '''
"""Embedders without a network: all zeros, all equal, or a code of one bit."""
import torch
from reidbench import Component, Params, hookimpl
from reidbench.training import Embedder, Preprocess


class CodeParams(Params):
    kind: str


@hookimpl
def reidbench_finetuners():
    yield Component("code", "codes:make", CodeParams)


class Code(Embedder):
    def __init__(self, preprocess, kind):
        super().__init__(preprocess=preprocess, kind=kind)
        self.kind = kind

    def forward(self, images, camids=None):
        bright = (images.mean((1, 2, 3)) > images.mean()).float()[:, None]
        codes = {"zero": 0 * bright, "equal": 0 * bright + 1, "bit": torch.cat([bright, 1 - bright], 1)}
        return codes[self.kind]


def make(ctx):
    return Code(Preprocess(ctx.image_size, (0, 0, 0), (1, 1, 1)), ctx.params.kind)
'''


@pytest.mark.slow
def test_a_matrix_says_what_was_not_ranked(tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero vectors are the row's reason, equal ones and ties its note; the other rows run."""
    make_plugin(tmp_path / "site", "codes", CODES)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-codes")
    kinds = {kind: f"{kind}: {{finetune: {{use: code, kind: {kind}}}}}" for kind in ("zero", "equal", "bit")}
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{{", ".join(kinds.values())}, pair: {{ensemble: [bit, zero]}}}}
""",
        tmp_path,
    )
    rows = {result.row.method: result for result in board.results}
    assert {name: result.status for name, result in rows.items()} == {
        "zero": "failed",
        "equal": "ok",
        "bit": "ok",
        "pair": "failed",
    }
    assert ": query_features row 0 is a zero vector, which has no cosine distance" in rows["zero"].error
    assert any(": nothing was ranked: for each of the " in note for note in rows["equal"].notes)
    assert ": member 2 of the ensemble: query_features row 0 is a zero vector" in rows["pair"].error
    (note,) = [note for note in rows["bit"].notes if "ties: " in note]
    assert "of a true match and another image at equal distance" in note


def test_a_gallery_without_cameras_has_no_camera_rule(tmp_path: Path) -> None:
    """The queries have cameras and the gallery has none: nothing can be removed, and the protocol says so."""
    root = write_market_folder(tmp_path / "m", identities=2)
    parts = {"bounding_box_train": ("train", "0"), "query": ("query", "0"), "bounding_box_test": ("gallery", "")}
    rows = ["path,pid,camid,split"]
    for file in sorted(root.glob("*/*.png")):
        part, camera = parts[file.parent.name]
        rows.append(f"m/{file.parent.name}/{file.name},{int(file.name[:4])},{camera},{part}")
    (tmp_path / "m.csv").write_text("\n".join(rows))
    board = run_matrix(
        f"image_size: [32, 16]\nseeds: [0]\ndata: {{m: {{use: csv-manifest, root: {tmp_path}/m.csv}}}}\n"
        "tasks: {m: {source: m, target: m}}\nbackbone: {use: resnet-tiny}\n"
        "methods: {hist: {finetune: colour-histogram}}\n",
        tmp_path,
    )
    (result,) = board.results
    assert result.status == "ok", result.error
    assert result.row.protocol.endswith("no cameras")
    assert any(note.startswith("data m: gallery: 4 of 4 images have no camera") for note in result.notes)
