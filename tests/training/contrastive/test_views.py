"""Views: what the presets draw, crops against plain interpolation, row overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reidbench.training import ViewAugment, row_overlap, stream
from reidbench.training.batches.colour import _hue, luminance
from reidbench.training.batches.crops import CROPS, crop_and_resize, draw_boxes
from reidbench.training.contrastive.params import LUP_MEAN, LUP_STD, ContrastiveParams
from reidbench.training.contrastive.views import gauss
from reidbench.training.devices import WHOLE

pytestmark = pytest.mark.usefixtures("one_thread")
PLAIN: dict[str, Any] = {
    "batch": 16, "crop": "rect", "grayscale": 0, "blur": 0, "flip": 0, "erase": 0, "jitter_probability": 0
}  # fmt: skip


def test_presets_fill_what_is_not_given() -> None:
    """LUPerson has no jitter, grey .2, blur .5, erasing up to .6 and temperature .1; MoCo v2 has the jitter."""
    lup = ContrastiveParams()
    assert (lup.temperature, lup.jitter_probability, lup.grayscale, lup.blur) == (0.1, 0.0, 0.2, 0.5)
    assert (lup.erase, lup.erase_area, lup.flip) == (0.5, (0.02, 0.6), 0.5)
    assert (lup.mean, lup.std) == ((0.3525, 0.3106, 0.3140), (0.2660, 0.2522, 0.2505))
    imagenet = ContrastiveParams(preset="imagenet")
    assert (imagenet.temperature, imagenet.jitter_probability, imagenet.erase) == (0.2, 0.8, 0.0)
    assert imagenet.jitter == (0.4, 0.4, 0.4, 0.1)
    assert ContrastiveParams(preset="imagenet", temperature=0.07).temperature == 0.07
    resolved = ContrastiveParams(preset="imagenet").model_dump()
    assert ContrastiveParams(**resolved).model_dump() == resolved  # the key holds the values themselves


def test_two_views_are_two_draws_and_flips_agree_half_the_time() -> None:
    """Views of one image are never equal; of 2,000 pairs half agree on the flip."""
    images = torch.rand(16, 3, 32, 16)
    augment = ViewAugment(ContrastiveParams(batch=16))
    (first, _), (second, _) = (augment(images, stream(0, name)) for name in ("first view", "second view"))
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    again, _ = augment(images, stream(0, "first view"))
    assert torch.equal(first, again)

    sides = torch.zeros(2000, 3, 4, 2)
    sides[..., 0] = 1.0
    flip = ViewAugment(ContrastiveParams(**{**PLAIN, "flip": 0.5}))
    left = [flip(sides, stream(0, name))[0][:, 0, 0, 0] > 0.5 for name in ("a", "b")]
    assert (left[0] == left[1]).float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_erasing_comes_last_and_is_the_mean() -> None:
    """After normalising the erased value is 0; about half of the images, from 2 to 60 % of each."""
    augment = ViewAugment(ContrastiveParams(**{**PLAIN, "erase": 0.5}))
    erased = augment(torch.ones(2000, 3, 64, 32), stream(0, "v"))[0]
    share = (erased == 0).all(1).float().mean((1, 2))
    assert (share > 0).float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert share[share > 0].min() >= 0.015
    assert 0.5 < share.max() <= 0.62  # whole pixels
    kept = erased[share == 0][0, :, 0, 0]
    assert torch.allclose(kept, (1 - torch.tensor(LUP_MEAN)) / torch.tensor(LUP_STD), atol=1e-4)


def rectangles(count: int, evenly: bool, rng: np.random.Generator) -> np.ndarray:
    """Shares of 256x128 that erasures of 2 to 60 % cover, as a loop: try areas and aspects until one fits."""
    shares = np.zeros(count)
    for number in range(count):
        for _ in range(100 if evenly else 10):
            area = rng.uniform(0.02, 0.6) * 256 * 128
            aspect = rng.uniform(0.3, 1 / 0.3) if evenly else np.exp(rng.uniform(np.log(0.3), np.log(3.33)))
            tall, wide = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if tall < 256 and wide < 128:
                shares[number] = tall * wide / (256 * 128)
                break
    return shares


@pytest.mark.slow
@pytest.mark.parametrize(("aspect", "large"), [("uniform", 0.301), ("log", 0.249)])
def test_an_erasure_covers_what_the_official_loop_covers(aspect: str, large: float) -> None:
    """Measured of LUPerson's code: .301 of its erasures cover more than 40 %; of torchvision's .249."""
    params = ContrastiveParams(**{**PLAIN, "erase": 1.0, "erase_aspect": aspect})
    images, erased = torch.ones(1000, 1, 256, 128), []
    for seed in range(5):
        erased.append(ViewAugment(params)._erase(images, stream(seed, "v"), WHOLE) == 0)
    share = torch.cat([part.float().mean((1, 2, 3)) for part in erased]).numpy()
    assert (share > 0.4).mean() == pytest.approx(large, abs=0.018)
    expected = rectangles(5_000, aspect == "uniform", np.random.default_rng(0))
    quantiles = np.linspace(0.1, 0.9, 9)
    assert np.quantile(share, quantiles) == pytest.approx(np.quantile(expected, quantiles), abs=0.02)
    assert (share == 0).mean() == pytest.approx((expected == 0).mean(), abs=0.003)


def test_grey_and_blur_frequencies() -> None:
    images = torch.rand(2000, 3, 16, 8, generator=stream(0, "images"))
    params = ContrastiveParams(**{**PLAIN, "grayscale": 0.2})
    grey = ViewAugment(params)(images, stream(0, "v"))[0]
    raw = grey * torch.tensor(params.std).view(1, 3, 1, 1) + torch.tensor(params.mean).view(1, 3, 1, 1)
    spread = (raw.amax(1) - raw.amin(1)).amax((1, 2))
    assert (spread < 1e-5).float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert torch.allclose(luminance(torch.ones(1, 3, 1, 1)), torch.ones(1), atol=1e-6)
    weights = gauss(9, torch.tensor([1.5]))[0]
    assert torch.allclose(weights.sum(1), torch.ones(9))
    assert (weights[4, 4] / weights[4, 5]).log().item() == pytest.approx(1 / (2 * 1.5**2), abs=1e-5)


def test_hue_turns_red_into_green() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    third = torch.tensor(1 / 3).view(1, 1, 1, 1)
    assert torch.allclose(_hue(red, third).flatten(), torch.tensor([0.0, 1, 0]), atol=1e-6)
    images = torch.rand(4, 3, 5, 5)
    assert torch.allclose(_hue(images, torch.zeros(4, 1, 1, 1)), images, atol=1e-6)


def test_crops_are_bilinear_enlargements() -> None:
    """Against torch's own interpolation of the cut-out box, which does not look beyond its border either."""
    images = torch.rand(6, 3, 32, 16)
    boxes = draw_boxes(CROPS["person-rrc"], 6, (32, 16), stream(0, "crop"))
    for image, box, ours in zip(images, boxes.tolist(), crop_and_resize(images, boxes), strict=True):
        top, left, tall, wide = box
        cut = image[None, :, top : top + tall, left : left + wide]
        reference = F.interpolate(cut, (32, 16), mode="bilinear", align_corners=False)[0]
        assert torch.allclose(ours, reference, atol=1e-5)


@pytest.mark.parametrize(
    ("crop", "height", "overlap", "apart"),
    [("imagenet-rrc", 0.44, 0.13, 0.66), ("person-rrc", 0.74, 0.385, 0.20), ("rect", 0.94, 0.79, 0.0)],
)
def test_row_overlap_of_the_crop_shapes(crop: str, height: float, overlap: float, apart: float) -> None:
    """Means of 20,000 pairs of views: height, IoU of corresponding rows, share without any overlap."""
    first, second = (draw_boxes(CROPS[crop], 20000, (256, 128), stream(0, name)) for name in ("a", "b"))
    shared = row_overlap(first, second, 4)
    assert first[:, 2].double().mean().item() / 256 == pytest.approx(height, abs=0.02)
    assert shared.mean().item() == pytest.approx(overlap, abs=0.02)
    assert (shared == 0).double().mean().item() == pytest.approx(apart, abs=0.02)
    inside = (first[:, 0] + first[:, 2] <= 256) & (first[:, 1] + first[:, 3] <= 128) & (first[:, :2] >= 0).all(1)
    assert inside.all()


def test_row_overlap_by_hand() -> None:
    """Rows of 16 of a box at 0 against rows of 16 of a box at 8: each shares 8 of 24."""
    boxes = torch.tensor([[0, 0, 64, 32]]), torch.tensor([[8, 0, 64, 32]])
    assert torch.allclose(row_overlap(*boxes, rows=4), torch.full((1, 4), 1 / 3, dtype=torch.double))


def test_no_literal_crop_is_taller_than_two_thirds() -> None:
    """On a 1:2 box a width / height of 3/4 and more ends at 171 of 256 pixels."""
    boxes = draw_boxes(CROPS["imagenet-rrc"], 20000, (256, 128), stream(0, "a"))
    assert int(boxes[:, 2].max()) == 171
