"""CFS against its definition, c(x) = <f_s(x), f_t(x)> / (|f_s(x)| |f_t(x)|): by hand, and in float64 numpy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from reidbench import SelectContext
from reidbench.data import HiddenSplit, read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import Backbone, BackboneEmbedder, Features, Preprocess
from reidbench_cfs import cfs
from reidbench_cfs.params import CfsParams
from tests.support.contexts import make_context
from tests.support.golden import Matrix, close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, CHANNELS = (32, 16), 5
PIXELS = 3 * 32 * 16
SOURCE = [[1, 0], [1, 0], [3, 4], [-2, 0], [7, 24], [0, 5], [8, 15], [0, 0]]
TARGET = [[9, 0], [3, 4], [4, 3], [5, 0], [24, 7], [4, -3], [15, 8], [1, 1]]
SCORES = [1, 3 / 5, 24 / 25, -1, 336 / 625, -3 / 5, 240 / 289, 0]  # .960, .538, .830; 0 for a feature of zeros


class Listed(Backbone):
    """Features by hand for a pool read in one batch, in its order."""

    def __init__(self, rows: list[list[int]]) -> None:
        super().__init__()
        self.dim, self.spec = 2, {}
        self.rows = torch.tensor(rows).float()

    def forward(self, images: torch.Tensor) -> Features:
        assert len(images) == len(self.rows)
        return Features(self.rows[:, :, None, None], self.rows)


@pytest.fixture
def pool(tmp_path: Path) -> HiddenSplit:
    """Eight images."""
    found = read_market_folder(write_market_folder(tmp_path / "pool", identities=2, seed=1)).train.hide()
    assert len(found) == len(SCORES)
    return found


def selected(pool: HiddenSplit, out: Path, source: Any, target: Any, **params: Any) -> tuple[list[int], np.ndarray]:
    """Return the kept images, and all scores."""
    ctx, _ = make_context(
        SelectContext, out, CfsParams(**params), image_size=SIZE, truth=None, pool=pool, backbone=lambda: source,
        network={"proxy": source, "target_proxy": target}.__getitem__,
    )  # fmt: skip
    found = cfs.select(ctx)
    return found.indices.tolist(), found.scores


@pytest.mark.parametrize(
    ("keep", "order", "kept"),
    [
        (0.5, "highest", [0, 1, 2, 6]), (0.3, "highest", [0, 2, 6]), (0.6, "highest", [0, 1, 2, 4, 6]),
        (0.5, "lowest", [3, 4, 5, 7]), (0.3, "lowest", [3, 5, 7]), (1.0, "highest", [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)  # fmt: skip
def test_scores_and_selection_by_hand(
    keep: float, order: Literal["highest", "lowest"], kept: list[int], pool: HiddenSplit, tmp_path: Path
) -> None:
    """The highest ceil(keep x 8) scores, and the list of all by falling score."""
    found, scores = selected(pool, tmp_path / "out", Listed(SOURCE), Listed(TARGET), keep=keep, order=order)
    close("scores", scores, SCORES, 1e-7)
    assert found == kept, "images that are kept"
    with (tmp_path / "out" / "list.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["id"]) for row in rows] == [0, 2, 6, 1, 4, 7, 5, 3], "order of the list"
    assert sorted(int(row["id"]) for row in rows if row["kept"] == "1") == kept, "images that the list keeps"


def test_scores_are_cosines_of_pixels_times_matrices(pool: HiddenSplit, tmp_path: Path) -> None:
    """Each proxy normalises pixels as in its training; the target's BNNeck is not used."""
    source, inner = Matrix(CHANNELS, PIXELS), Matrix(CHANNELS, PIXELS)
    inner.weight.data.add_(0.5 * wave(9, CHANNELS, PIXELS).float())
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    target = BackboneEmbedder(inner, Preprocess(SIZE, mean, std), neck=True)
    target.get_buffer("neck.norm.running_mean").copy_(wave(3, CHANNELS))

    def features(network: Matrix, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
        pictures = np.stack([pool.image(index) for index in range(len(pool))]) / 255.0
        pixels = ((pictures - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2).reshape(len(pool), -1)
        return np.asarray(pixels @ network.weight.detach().double().numpy().T)

    first, second = features(source, source.mean, source.std), features(inner, mean, std)
    wanted = [
        sum(a * b for a, b in zip(*pair, strict=True))
        / np.sqrt(sum(a * a for a in pair[0]) * sum(b * b for b in pair[1]))
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert np.ptp(wanted) > 0.3
    kept, scores = selected(pool, tmp_path / "out", source, target)
    close("scores", scores, wanted, 1e-4)
    assert kept == sorted(sorted(range(len(pool)), key=lambda image: -wanted[image])[:4]), "images that are kept"
