"""Crops from pictures as they are stored: the boxes, the pixels, and whole pre-trainings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench import PretrainContext
from reidbench.data import HiddenSplit, Sample, Split
from reidbench.data.pictures.size import ImageSize
from reidbench.training import Backbone, ViewAugment, stream
from reidbench.training.batches.crops import CROPS, boxes_of, draw_chances
from reidbench.training.batches.originals import Originals
from reidbench.training.devices import Share
from reidbench_baseline import moco
from reidbench_baseline.params import MocoParams, TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_transreid_ssl import dino
from reidbench_transreid_ssl.multicrop import MultiCrop
from reidbench_transreid_ssl.params import DinoParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, weights

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
PLAIN: dict[str, Any] = {
    "crop": "person-rrc", "grayscale": 0, "blur": 0, "flip": 0, "erase": 0, "jitter_probability": 0,
    "mean": (0, 0, 0), "std": (1, 1, 1),
}  # fmt: skip
PLAIN_DINO: dict[str, Any] = {
    "flip": 0.5, "jitter_probability": 0, "grayscale": 0, "blur": (0, 0, 0), "solarise": 0, "mean": (0, 0, 0),
    "std": (1, 1, 1), "local_crops": 2,
}  # fmt: skip


def pictures(count: int = 6) -> list[np.ndarray]:
    """Noise of many sizes, each taller than wide."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (50 + 13 * n, 20 + 3 * n, 3), dtype=np.uint8) for n in range(count)]


def by_pillow(picture: np.ndarray, box: list[int], size: tuple[int, int], kind: Image.Resampling) -> torch.Tensor:
    """The official way: cut the picture, then resize what was cut, in 8 bits."""
    top, left, tall, wide = box
    cut = Image.fromarray(picture).crop((left, top, left + wide, top + tall)).resize(size[::-1], kind)
    return torch.from_numpy(np.asarray(cut).copy()).permute(2, 0, 1) / 255


def heights_by_loop(size: tuple[int, int], count: int, rng: np.random.Generator) -> float:
    """torchvision's RandomResizedCrop(scale=(0.2, 1)) written out: the mean share of the height that crops keep."""
    height, width = size
    total = 0.0
    for _ in range(count):
        tall = min(height, round(width / 0.75))
        for _ in range(10):
            area = height * width * rng.uniform(0.2, 1.0)
            ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                tall = h
                break
        total += tall / height
    return total / count


@pytest.mark.parametrize("size", [(256, 128), (200, 80), (300, 90)])
def test_boxes_depend_on_the_pictures_own_shape(size: tuple[int, int]) -> None:
    """The narrower a picture, the less of its height a crop of ImageNet's ratio keeps."""
    sizes = torch.tensor([size, (31, 17)]).repeat(4000, 1)
    boxes = boxes_of(CROPS["imagenet-rrc"], draw_chances(8000, stream(0, "boxes")), sizes)
    share = float((boxes[::2, 2].double() / size[0]).mean())
    assert share == pytest.approx(heights_by_loop(size, 4000, np.random.default_rng(0)), abs=0.01)
    ends = boxes[:, :2] + boxes[:, 2:]
    assert (boxes[:, :2] >= 0).all()
    assert (ends <= sizes).all()


def test_views_are_pillows_crops_of_the_stored_pictures() -> None:
    originals, images = Originals(pictures()), torch.rand(6, 3, *SIZE)
    view, boxes = ViewAugment(MocoParams(**PLAIN))(images, stream(0, "view"), originals=originals)
    for picture, box, found in zip(originals.pictures, boxes.tolist(), view, strict=True):
        assert box[0] + box[2] <= picture.shape[0]
        assert torch.allclose(found, by_pillow(picture, box, SIZE, Image.Resampling.BILINEAR), atol=1e-6)
    assert boxes[:, 2].max() > SIZE[0]  # in pixels of the stored picture


@pytest.mark.parametrize("kind", ["whole", "local"])
def test_dinos_crops_are_pillows_bicubic_crops_of_the_stored_pictures(kind: str) -> None:
    originals, images = Originals(pictures()), torch.rand(6, 3, *SIZE)
    augment = MultiCrop(DinoParams(**PLAIN_DINO), SIZE)
    make: Callable[..., Any] = augment.whole if kind == "whole" else augment.local
    views, boxes = make(images, stream(0, "view"), originals=originals)
    size = SIZE if kind == "whole" else (16, 8)
    mirrored = []
    for picture, box, found in zip(originals.pictures * 2, boxes.tolist(), views, strict=True):
        expected = by_pillow(picture, box, size, Image.Resampling.BICUBIC)
        mirrored.append(not torch.allclose(found, expected, atol=1e-6))
        assert torch.allclose(found.flip(2) if mirrored[-1] else found, expected, atol=1e-6)
    assert 0 < sum(mirrored) < 12


def test_a_share_has_the_crops_that_it_has_in_the_whole_batch() -> None:
    """Draws do not depend on sizes, so that no device needs the images of another."""
    whole, images = pictures(), torch.rand(6, 3, *SIZE)
    view, crops = ViewAugment(MocoParams(**PLAIN)), MultiCrop(DinoParams(**PLAIN_DINO), SIZE)
    for make, groups in ((view, 1), (crops.whole, 2), (crops.local, 2)):
        together = make(images, stream(0, "v"), originals=Originals(whole))[0].unflatten(0, (groups, 6))
        for rank in range(2):
            part, share = slice(3 * rank, 3 * rank + 3), Share(rank, 2)
            own = make(images[part], stream(0, "v"), share, Originals(whole[part]))[0].unflatten(0, (groups, 3))
            assert torch.equal(own, together[:, part])


# ---------------------------------------------------------------------- whole stages
@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> HiddenSplit:
    folder = tmp_path_factory.mktemp("pool")
    samples = []
    for number, picture in enumerate(pictures(20)):
        Image.fromarray(picture).save(folder / f"{number}.png")
        samples.append(Sample(f"{number}.png", 1 + number, 1))
    return Split(folder, samples).hide()


def backbone() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return network


RUNS: dict[str, tuple[Any, Any]] = {
    "moco": (
        MocoParams(epochs=3, batch=8, splits=2, queue=24, dim=16, lr=0.05, held_out=0.1, clean_batches=1),
        moco.pretrain,
    ),
    "dino": (
        DinoParams(
            epochs=3, batch=4, out_dim=16, hidden_dim=16, bottleneck_dim=8, warmup_epochs=1, local_crops=2, held_out=0.1
        ),
        dino.pretrain,
    ),
}  # fmt: skip


def context(
    name: str, pool: HiddenSplit, out: Path, crop_from: Any = "original", die_after: int = NEVER
) -> tuple[PretrainContext, Lines]:
    size = ImageSize(SIZE, crop_from=crop_from)
    return make_context(
        PretrainContext, out, RUNS[name][0], image_size=size, die_after=die_after, pool=pool, backbone=backbone
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_workers_change_nothing_and_the_option_does(name: str, pool: HiddenSplit, tmp_path: Path) -> None:
    run = RUNS[name][1]
    plain = weights(run(context(name, pool, tmp_path / "plain")[0]))
    for workers in (1, 4):
        ctx, _ = context(name, pool, tmp_path / str(workers))
        assert same(weights(run(dataclasses.replace(ctx, workers=workers))), plain)
    assert not same(weights(run(context(name, pool, tmp_path / "resized", "resized")[0])), plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_killed_and_resumed_is_uninterrupted(name: str, pool: HiddenSplit, tmp_path: Path) -> None:
    check_resumes(tmp_path, lambda out, die_after: context(name, pool, out, die_after=die_after), RUNS[name][1], 2)
