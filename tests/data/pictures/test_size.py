"""The size of pictures and the filter by which they come to it, from a matrix file to features."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench.data import read_market_folder
from reidbench.data.pictures.images import load_pixels, resize
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.stages.networks import saved_embedder
from reidbench.testing import run_matrix
from reidbench.training import Augment, BackboneEmbedder, Preprocess, embed, image_source
from reidbench.training.batches.feed import Feed
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny

pytestmark = pytest.mark.usefixtures("one_thread")
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIZE = (24, 12)  # the pictures have 32 x 16


def by_pillow(picture: np.ndarray, name: str) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(SIZE[::-1], FILTERS[name]))


def test_a_size_is_the_plain_pair_and_says_what_is_no_default() -> None:
    size = ImageSize([256, 128], resize="bicubic", crop_from="original")
    assert size == (256, 128)
    height, width = size
    assert (height, width, size.resize_test) == (256, 128, "bicubic")
    assert json.dumps(size) == "[256, 128]"
    assert size.said == {"resize": "bicubic", "crop_from": "original"}
    assert ImageSize((2, 1)).said == {}
    assert ImageSize((2, 1), resize="bicubic", resize_test="bilinear").said["resize_test"] == "bilinear"
    again = copy.deepcopy(size)
    assert (again, again.said) == (size, size.said)


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_every_reader_of_pictures_takes_the_filter_of_the_size(name: str, market: Path) -> None:
    """Whole splits in memory, pictures by index and batches are Pillow's pictures by that filter."""
    train = read_market_folder(market, name="tiny").train
    size = ImageSize(SIZE, resize=name)  # type: ignore[arg-type]
    expected = np.stack([by_pillow(train.image(index), name) for index in range(len(train))])
    assert np.array_equal(resize(train.image(0), size), expected[0])
    held = load_pixels(train, size)
    assert held is not None
    assert np.array_equal(held, expected)
    for limit in (0, None):
        assert np.array_equal(image_source(train, size, limit=limit)(np.arange(len(train))).numpy(), expected)
    preprocess = Preprocess(size)
    images = Feed(train, preprocess).make(Feed(train, preprocess).plan(np.arange(4)))
    assert torch.equal(images, preprocess.normalise(torch.from_numpy(expected[:4])))


def test_embedding_takes_the_filter_for_tests(market: Path) -> None:
    train = read_market_folder(market, name="tiny").train
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {}
    found = {}
    for name in FILTERS:
        preprocess = Preprocess(ImageSize(SIZE, resize="bilinear", resize_test=name))  # type: ignore[arg-type]
        found[name] = embed(BackboneEmbedder(network, preprocess), train, train.camids)
        pixels = torch.from_numpy(np.stack([by_pillow(train.image(i), name) for i in range(len(train))]))
        with torch.no_grad():
            expected = network.eval()(preprocess.normalise(pixels)).vector.numpy()
        assert np.allclose(found[name], expected, atol=1e-5)
    assert not np.allclose(found["bilinear"], found["bicubic"], atol=1e-4)


def test_a_preprocess_keeps_filters_through_json_and_says_nothing_of_defaults() -> None:
    plain = Preprocess((24, 12))
    assert plain.described().keys() == {"size", "mean", "std"}
    assert Preprocess(**json.loads(json.dumps(plain.described()))) == plain
    for given in (
        Preprocess(ImageSize(SIZE, resize="bicubic")),
        Preprocess(ImageSize(SIZE, resize="bicubic", resize_test="bilinear")),
        Preprocess(ImageSize(SIZE, resize_test="bicubic")),
    ):
        again = Preprocess(**json.loads(json.dumps(given.described())))
        assert again == given
        assert again.pictures.resize_test == given.resize_test
    assert Preprocess(ImageSize(SIZE, resize="bicubic"), resize="bilinear").resize == "bilinear"


def test_fast_pictures_refuse_another_filter(market: Path) -> None:
    train = read_market_folder(market, name="tiny").train
    with pytest.raises(ReidbenchError, match="fast: true supports only bilinear resizing, not bicubic"):
        Feed(train, Preprocess(ImageSize(SIZE, resize="bicubic")), Augment(), fast=True)


def test_a_matrix_file_says_the_filters_once(tmp_path: Path, market: Path) -> None:
    """They travel with the embedder, and features of the test are those of its filter."""
    board = run_matrix(
        f"""
image_size: [24, 12]
resize_test: bicubic
seeds: [0]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{m: {{finetune: none}}}}
""",
        tmp_path,
    )
    assert [(result.status, result.error) for result in board.results] == [("ok", "")]
    (file,) = (tmp_path / "store" / "objects").rglob("embedder.json")
    embedder = saved_embedder(plugins.load(), file.parent)
    assert (embedder.preprocess.resize, embedder.preprocess.resize_test) == ("bilinear", "bicubic")
    manifest = json.loads((file.parent / "manifest.json").read_text())
    assert manifest["settings"]["resize_test"] == "bicubic"
    query = read_market_folder(market, name="tiny").query
    pixels = torch.from_numpy(np.stack([by_pillow(query.image(i), "bicubic") for i in range(len(query))]))
    with torch.no_grad():
        expected = embedder.eval()(embedder.preprocess.normalise(pixels)).numpy()
    (features,) = (tmp_path / "store" / "objects").rglob("features.npz")
    assert np.allclose(np.load(features)["query_features"], expected, atol=1e-5)
