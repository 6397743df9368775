"""The check's data have labels beyond identity, which only methods that declare them see, and can be without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench import check
from reidbench.check.own import FolderParams, open_folder, write_market_folder
from reidbench.data import MORE_LABELS
from reidbench.testing import check_plugin

CODE = """
import torch
from reidbench import Component, hookimpl
from reidbench.training import Embedder, Preprocess

WORDS = frozenset({{"modality"}})


@hookimpl
def reidbench_finetuners():
    common = {{"summary": "x", "traits": frozenset({{"backbone-free"}})}}
    yield Component("kept", "modal:taking", protocol=WORDS, requires=WORDS, **common)
    yield Component("undeclared", "modal:fixed", **common)
    yield Component("needy", "modal:taking", protocol=WORDS, **common)
    yield Component("idle", "modal:fixed", protocol=WORDS, requires=WORDS, **common)
    yield Component("blind", "modal:blind", protocol=WORDS, requires=WORDS, **common)


class Modal(Embedder):
    def __init__(self, preprocess, words, sees_cameras=False):
        super().__init__(preprocess=preprocess, words=list(words), sees_cameras=sees_cameras)
        self.modalities, self.sees_cameras = tuple(words), sees_cameras
        self.scale = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, images, camids=None, modalities=None):
        features = images.mean((2, 3)) * self.scale + torch.as_tensor(modalities).reshape(-1, 1)
        return features + camids[:, None] if self.sees_cameras and camids is not None else features


def taking(ctx): return Modal(Preprocess(ctx.image_size), sorted(set(ctx.source.modality)))
def fixed(ctx): return Modal(Preprocess(ctx.image_size), ["infrared", "visible"])
def blind(ctx): return Modal(Preprocess(ctx.image_size), ["infrared", "visible"], True)
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> check.Findings:
    package = tmp_path_factory.mktemp("plugin") / "modal"
    package.mkdir()
    (package / "__init__.py").write_text(CODE.format())
    (package / "README.md").write_text("# modal\n\nkept, undeclared, needy, idle, blind\n")
    return check_plugin(package)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("kept", "ok", ""),
        (
            "undeclared",
            "failed",
            "run: finetuner undeclared returned Modal, which takes each image's modality: declare",
        ),
        ("needy", "failed", "requires: fails without modality labels ("),
        ("idle", "ok", "also works without modality labels: requires need not include 'modality'"),
        ("blind", "failed", "shapes: features depend on camids, but `protocol` lacks 'cameras'"),
    ],
)
def test_what_takes_the_modality_must_say_so(report: check.Findings, name: str, status: str, text: str) -> None:
    (found,) = (line for line in report.lines if line.name == name)
    assert (found.status, found.text[: len(text)]) == (status, text)


def test_the_data_have_all_labels_but_those_that_they_are_without(tmp_path: Path) -> None:
    folder = write_market_folder(tmp_path / "data")
    for without in ((), ("modality",), MORE_LABELS):
        params = FolderParams(without=without)
        for split in open_folder(params, folder, tmp_path).parts().values():
            assert split.more.known == params.labels() == frozenset(MORE_LABELS) - set(without)
    train = open_folder(FolderParams(), folder, tmp_path).train
    for pid in set(train.pids.tolist()):
        own = [row for row in range(len(train)) if train.pids[row] == pid]
        assert {train.samples[row].modality for row in own} == {"visible", "infrared"}
        assert {train.samples[row].clothes for row in own} == {0, 1}
        assert len({(train.samples[row].tracklet, train.samples[row].camid) for row in own}) == 2
