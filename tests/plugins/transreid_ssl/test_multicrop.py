"""DINO's views: what is drawn, the geometry of crops on upright images, colours, by the released code's rules.

Oracles are Pillow's bicubic filter and its solarisation.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.nn.functional import interpolate

from reidbench.training import stream
from reidbench.training.batches.crops import CropShape, draw_boxes
from reidbench.training.devices import WHOLE
from reidbench_transreid_ssl.multicrop import MultiCrop, _Part, bicubic, crop, crop_ratio, gauss, solarise
from reidbench_transreid_ssl.params import DinoParams

pytestmark = pytest.mark.usefixtures("one_thread")
NO_COLOUR: dict[str, Any] = {
    "flip": 0, "jitter_probability": 0, "grayscale": 0, "blur": (0, 0, 0), "solarise": 0, "mean": (0, 0, 0),
    "std": (1, 1, 1),
}  # fmt: skip


def pictures(count: int = 4, size: tuple[int, int] = (64, 32)) -> torch.Tensor:
    """Smooth coloured images [count, 3, H, W] in 0..1."""
    coarse = torch.rand(count, 3, 8, 4, generator=stream(0, "images"))
    return interpolate(coarse, size, mode="bilinear", align_corners=False)


def covered(kind: str, scale: tuple[float, float]) -> dict[str, float]:
    """Numbers of 20,000 crops of a 256x128 image."""
    boxes = draw_boxes(CropShape(scale, crop_ratio(kind, (256, 128))), 20_000, (256, 128), stream(0, "boxes")).double()
    tall, wide = boxes[:, 2], boxes[:, 3]
    area, stretch = tall * wide / (256 * 128), (256 / tall) / (128 / wide)
    return {
        "area": float(area.mean()), "most area": float(area.max()), "height": float((tall / 256).mean()),
        "most height": float((tall / 256).max()), "least stretch": float(stretch.min()),
        "stretch": float(stretch.mean()), "most stretch": float(stretch.max()),
        "fallback": float(((tall == 171) & (wide == 128)).double().mean()),
    }  # fmt: skip


def test_whole_crops_of_imagenets_ratio_never_hold_a_person() -> None:
    """They cover .51 of a 1:2 image, .667 at most, and stretch it 1.5 times or more; one in eight falls back.

    A crop of .4 of the area is not wider than the image, so w / h <= 128^2 / (.4 x 128 x 256) = 1.25: stretched 2.5.
    """
    found = covered("imagenet", (0.4, 1.0))
    assert found["area"] == pytest.approx(0.51, abs=0.01)
    assert found["most area"] == pytest.approx(0.667, abs=0.002)
    assert found["height"] == pytest.approx(0.54, abs=0.01)
    assert found["most height"] == pytest.approx(0.67, abs=0.005)
    assert found["fallback"] == pytest.approx(0.125, abs=0.01)
    assert found["least stretch"] == pytest.approx(1.5, abs=0.02)
    assert found["most stretch"] == pytest.approx(2.5, abs=0.02)
    assert found["stretch"] == pytest.approx(1.75, abs=0.02)


def test_local_crops_of_imagenets_ratio() -> None:
    """Area .22 on average, at most .52 of the height, stretched 1.5 to 2.7 times."""
    found = covered("imagenet", (0.05, 0.4))
    assert found["area"] == pytest.approx(0.22, abs=0.01)
    assert found["most area"] == pytest.approx(0.4, abs=0.01)
    assert found["height"] == pytest.approx(0.33, abs=0.01)
    assert found["most height"] == pytest.approx(0.52, abs=0.01)
    assert found["least stretch"] == pytest.approx(1.5, abs=0.06)  # lengths are rounded to pixels
    assert found["most stretch"] == pytest.approx(2.7, abs=0.06)


def test_crops_of_a_persons_ratio_hold_persons() -> None:
    """With 3/4 to 4/3 x W/H a whole view covers what its scale says, and stretches by 3/4 to 4/3."""
    assert crop_ratio("person", (256, 128)) == (0.375, pytest.approx(2 / 3))
    assert crop_ratio("person", (384, 128)) == (0.25, pytest.approx(4 / 9))
    found = covered("person", (0.4, 1.0))
    assert found["most area"] > 0.95
    assert found["most height"] == 1.0
    assert 0.73 < found["least stretch"] < 0.77
    assert 1.3 < found["most stretch"] < 1.36
    assert found["area"] == pytest.approx(0.64, abs=0.01)
    assert found["height"] == pytest.approx(0.80, abs=0.01)
    local = covered("person", (0.05, 0.4))
    assert local["area"] == pytest.approx(0.22, abs=0.01)
    assert local["most area"] == pytest.approx(0.4, abs=0.01)
    assert local["height"] == pytest.approx(0.46, abs=0.01)


@pytest.mark.parametrize(("box", "size"), [
    ((0, 0, 64, 32), (64, 32)), ((5, 3, 30, 20), (64, 32)), ((10, 2, 50, 29), (32, 16)), ((7, 9, 8, 6), (32, 16)),
])  # fmt: skip
def test_crops_are_pillows_bicubic(box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    """Bicubic, antialiased where it shrinks; mirrored on demand; within a grey level and a half of Pillow's."""
    image = (pictures(1)[0] * 255).round()
    top, left, tall, wide = box
    cut = Image.fromarray(image.permute(1, 2, 0).byte().numpy()).crop((left, top, left + wide, top + tall))
    expected = torch.from_numpy(np.array(cut.resize(size[::-1], Image.Resampling.BICUBIC))).permute(2, 0, 1)
    for flip in (False, True):
        ours = crop(image[None] / 255, torch.tensor([box]), torch.tensor([flip]), size)[0] * 255
        ours = ours.flip(2) if flip else ours
        assert (ours - expected).abs().max() < 1.5


def test_bicubic_weights() -> None:
    """Rows sum to 1, a box of the output's size is copied, and nothing outside a box is read."""
    weights = bicubic(torch.tensor([0, 4]), torch.tensor([16, 8]), 16, 16)
    assert torch.allclose(weights.sum(2), torch.ones(2, 16), atol=1e-6)
    assert torch.allclose(weights[0], torch.eye(16), atol=1e-6)
    assert weights[1, :, :4].abs().max() == 0
    assert weights[1, :, 12:].abs().max() == 0


def test_views_are_two_whole_ones_and_local_ones_of_half_the_size() -> None:
    """Sizes, numbers, and ten views of one image that all differ; a stream gives the same views again."""
    augment = MultiCrop(DinoParams(), (64, 32))
    images = pictures()
    whole, local = augment.whole(images, stream(0, "w")), augment.local(images, stream(0, "l"))
    assert whole.images.shape == (2 * 4, 3, 64, 32)
    assert local.images.shape == (8 * 4, 3, 32, 16)
    assert whole.boxes.shape == (8, 4)
    views = [*whole.images.view(2, 4, -1).unbind(), *local.images.view(8, 4, -1).unbind()]
    for one, first in enumerate(views):
        for second in views[one + 1 :]:
            width = min(first.shape[1], second.shape[1])
            assert (first[:, :width] != second[:, :width]).any(1).all()
    assert torch.equal(augment.whole(images, stream(0, "w")).images, whole.images)


def test_python_and_global_generators_have_nothing_to_say() -> None:
    """Blur and solarisation are drawn from the stream as well, unlike the official ones."""
    augment = MultiCrop(DinoParams(), (64, 32))
    found = []
    for seed in (0, 1):
        random.seed(seed), torch.manual_seed(seed)
        found.append(augment.whole(pictures(), stream(0, "w")).images)
    assert torch.equal(*found)


def test_more_local_crops_leave_the_others_as_they_are() -> None:
    few, many = (MultiCrop(DinoParams(local_crops=count), (64, 32)) for count in (2, 6))
    states = []
    for augment in (few, many):
        generator = stream(0, "w")
        augment.whole(pictures(), generator)
        states.append(generator.get_state())
    assert torch.equal(*states)


def noise(count: int = 2000) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=stream(0, "noise")) * 0.2 + 0.7


def test_only_the_first_whole_view_is_always_blurred() -> None:
    """Blurred are 1.0 of the first, .1 of the second, .5 of the local views; a blur takes the noise away."""
    params = DinoParams(**{**NO_COLOUR, "blur": (1.0, 0.1, 0.5), "blur_sigma": (64, 64)})
    shares = []
    augment = MultiCrop(params.model_copy(update={"global_scale": (1.0, 1.0), "local_scale": (1.0, 1.0)}), (8, 8))
    whole = augment.whole(noise(), stream(0, "w")).images.view(2, 2000, 3, 8, 8)
    local = augment.local(noise(), stream(0, "l")).images.view(8, 2000, 3, 4, 4)
    for view in (*whole, *local):
        deviation = view.std((2, 3)).mean(1)
        shares.append(float((deviation < 0.5 * deviation.max()).float().mean()) if view is not whole[0] else 0)
    assert shares[1] == pytest.approx(0.1, abs=0.03)
    assert shares[2:] == pytest.approx([0.5] * 8, abs=0.06)
    assert whole[0].std((2, 3)).max() < 0.05
    assert whole[1].std((2, 3)).max() > 0.05


def test_only_the_second_whole_view_is_solarised() -> None:
    """.2 of the second whole views; values of .7 and more become .3 and less."""
    augment = MultiCrop(DinoParams(**{**NO_COLOUR, "solarise": 0.2}), (8, 8))
    first, second = augment.whole(noise(), stream(0, "w")).images.view(2, 2000, -1)
    local = augment.local(noise(), stream(0, "l")).images
    assert first.min() > 0.5
    assert local.min() > 0.5
    assert float((second.mean(1) < 0.5).float().mean()) == pytest.approx(0.2, abs=0.03)


def test_flip_and_grey_are_drawn_for_each_view() -> None:
    """Two views of one image agree on the flip half the time; a fifth has no colour."""
    sides = torch.zeros(2000, 3, 8, 4)
    sides[:, 0, :, :2] = 1.0
    augment = MultiCrop(DinoParams(**{**NO_COLOUR, "flip": 0.5, "grayscale": 0.2, "global_scale": (1.0, 1.0)}), (8, 4))
    first, second = augment.whole(sides, stream(0, "w")).images.view(2, 2000, 3, 8, 4)
    left = [view[:, 0, 4, 0] > view[:, 0, 4, 3] for view in (first, second)]
    assert float((left[0] == left[1]).float().mean()) == pytest.approx(0.5, abs=0.04)
    for view in (first, second):
        grey = (view.amax(1) - view.amin(1)).amax((1, 2)) < 1e-5
        assert float(grey.float().mean()) == pytest.approx(0.2, abs=0.03)


def test_jitter_is_drawn_for_each_view() -> None:
    """Four fifths are changed; brightness alone is a factor within .6 to 1.4, another in each view."""
    images = pictures(1000, (8, 4)) * 0.5 + 0.1
    plain = {**NO_COLOUR, "global_scale": (1.0, 1.0), "jitter": (0.4, 0, 0, 0), "jitter_probability": 0.8}
    shape = MultiCrop(DinoParams(**plain), (8, 4))
    shape.ratio = (0.5, 0.5)  # the whole image
    factors = (shape.whole(images, stream(0, "w")).images.view(2, 1000, -1) / images.flatten(1)).view(2, 1000, -1)
    assert torch.allclose(factors.amin(2), factors.amax(2), atol=1e-3)
    changed = (factors[..., 0] - 1).abs() > 1e-4
    assert changed.float().mean(1).tolist() == pytest.approx([0.8, 0.8], abs=0.04)
    assert factors.min().item() == pytest.approx(0.6, abs=0.01)
    assert factors.max().item() == pytest.approx(1.4, abs=0.01)
    both = changed.all(0)
    assert abs(float(torch.corrcoef(factors[:, both, 0])[0, 1])) < 0.1


def test_solarise_is_pillows() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    expected = np.asarray(ImageOps.solarize(Image.fromarray(levels)))
    ours = solarise(torch.from_numpy(levels).float() / 255) * 255
    assert np.array_equal(ours.round().numpy().astype(np.uint8), expected)


def test_blur_is_in_pixels_of_the_image() -> None:
    """Sigma .1 to 2 at 256 rows; local views of half the height are blurred by the same pixels, not by half."""
    point = torch.zeros(1, 3, 33, 33)
    point[..., 16, 16] = 1
    params = DinoParams(**{**NO_COLOUR, "blur": (1.0, 0.0, 1.0), "blur_sigma": (2.0, 2.0)})
    blurred = MultiCrop(params, (256, 128))._blur(point, torch.ones(1), _Part(stream(0, "b"), WHOLE, 1))
    columns = blurred[0, 0].sum(0)
    variance = float((columns * (torch.arange(33) - 16.0).square()).sum())
    assert variance == pytest.approx(4.0, abs=0.01)
    assert torch.equal(gauss(5, torch.zeros(1))[0], torch.eye(5))
