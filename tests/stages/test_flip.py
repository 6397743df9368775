"""Features that are means over both sides of the mirror, as a stage computes and keeps them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from reidbench.matrix.plan import expand
from reidbench.matrix.reading.reader import read
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder

pytestmark = pytest.mark.usefixtures("one_thread")
TEXT = """
image_size: [32, 16]
data:
  tiny:     {{use: market-folder, root: {folder}/plain}}
  mirrored: {{use: market-folder, root: {folder}/mirrored}}
tasks: {{tiny: {{source: tiny, target: tiny}}, mirrored: {{source: tiny, target: mirrored}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  plain: {{finetune: {{use: bot, epochs: 1, identities: 4, images: 2}}}}
  both:  {{finetune: {{use: bot, epochs: 1, identities: 4, images: 2}}, flip_test: true}}
"""


def folders(place: Path) -> Path:
    """A data set, and the same with every picture mirrored; without loss."""
    plain = write_market_folder(place / "plain")
    shutil.copytree(plain, place / "mirrored")
    for picture in (place / "mirrored").rglob("*.*"):
        if picture.suffix in {".jpg", ".png"}:
            with Image.open(place / "plain" / picture.relative_to(place / "mirrored")) as image:
                pixels = image.convert("RGB")
            pixels.save(place / "plain" / picture.relative_to(place / "mirrored"), "PNG")
            ImageOps.mirror(pixels).save(picture, "PNG")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [0, 1])  # in this process, and in a worker's
def test_a_row_with_flip_test_has_the_means(jobs: int, tmp_path: Path) -> None:
    """Of the features of a data set and of its mirror image, by the network of the row without it."""
    text = TEXT.format(folder=folders(tmp_path))
    board = run_matrix(text, tmp_path, jobs=jobs)
    assert {result.status for result in board.results} == {"ok"}
    assert len({result.row.key for result in board.results}) == 4
    (file := tmp_path / "again.yaml").write_text(text)
    stages = expand(read(file, plugins.load(others=False))).stages.values()
    store = Store(tmp_path / "store")
    features = {}
    for stage in stages:
        if stage.kind == "embed":
            with np.load(store.path(stage.key) / "features.npz") as found:
                features[stage.label.split(" [")[0]] = {
                    side: found[f"{side}_features"] for side in ("query", "gallery")
                }
    for side in ("query", "gallery"):
        plain, mirrored = features["embed plain -> tiny"][side], features["embed plain -> mirrored"][side]
        np.testing.assert_allclose(features["embed both -> tiny"][side], (plain + mirrored) / 2, atol=1e-5)
        assert abs(plain - mirrored).max() > 1e-3
