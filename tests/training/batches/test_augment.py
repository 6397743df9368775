"""Flips, shifts and erased rectangles on images that can be read by eye."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from reidbench.training import Augment


def test_flip_is_half_and_exact() -> None:
    images = torch.arange(400 * 3 * 2 * 3, dtype=torch.float32).view(400, 3, 2, 3)
    flipped = Augment(flip=0.5, pad=0, erase=0)(images, torch.Generator().manual_seed(0))
    same = (flipped == images).all(3).all(2).all(1)
    mirrored = (flipped == images.flip(3)).all(3).all(2).all(1)
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_pad_and_crop_shifts_by_at_most_the_padding() -> None:
    images = torch.zeros(200, 3, 9, 7)
    images[:, :, 4, 3] = 1
    cropped = Augment(flip=0, pad=2, erase=0, pad_value=(-1, -2, -3))(images, torch.Generator().manual_seed(0))
    assert cropped.shape == images.shape
    spots = (cropped[:, 0] == 1).nonzero()
    assert len(spots) == 200  # the bright pixel stays in view
    shifts = spots[:, 1:] - torch.tensor([4, 3])
    assert shifts.abs().max() == 2
    assert set(cropped[:, 1].unique().tolist()) == {-2.0, 0.0, 1.0}


def test_erasing_area_aspect_and_value() -> None:
    images = torch.zeros(500, 3, 64, 32)
    erased = Augment(flip=0, pad=0, erase=0.5, erase_value=(1, 2, 3))(images, torch.Generator().manual_seed(0))
    touched = (erased != 0).flatten(1).any(1)
    assert 200 < touched.sum() < 300
    for image in erased[touched]:
        assert set(image[1].unique().tolist()) <= {0.0, 2.0}
        rows, columns = (image[0].any(1 - axis).sum().item() for axis in (0, 1))
        share = (image[0] != 0).float().mean().item()
        assert (image[0] != 0).sum().item() == rows * columns  # one rectangle
        assert 0.015 < share < 0.42


# ---------------------------------------------------------------------- against a plain formulation
def naive(augment: Augment, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw as `Augment` says, then treat picture by picture with torch's own padding."""
    count, planes, height, width = images.shape
    flips = torch.rand(count, generator=generator) < augment.flip
    pad, value = augment.pad, torch.tensor(list(augment.pad_value)).view(planes, 1, 1)
    starts = [torch.randint(2 * pad + 1, (count,), generator=generator) for _ in range(2)] if pad else []
    out = []
    for row, image in enumerate(images):
        picture = image.flip(2) if flips[row] else image
        if pad:
            top, left = (int(start[row]) for start in starts)
            picture = (F.pad(picture - value, [pad] * 4) + value)[:, top : top + height, left : left + width]
        out.append(picture.clone())
    for picture in out if augment.erase else []:
        if torch.rand((), generator=generator).item() >= augment.erase:
            continue
        fits = False
        while not fits:
            share, aspect, y, x = torch.rand(4, generator=generator).tolist()
            area = (augment.erase_area[0] + share * (augment.erase_area[1] - augment.erase_area[0])) * height * width
            ratio = 0.3 + aspect * (1 / 0.3 - 0.3)
            tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            fits = tall < height and wide < width
        for row in range(int(y * (height - tall + 1)), int(y * (height - tall + 1)) + tall):
            for column in range(int(x * (width - wide + 1)), int(x * (width - wide + 1)) + wide):
                picture[:, row, column] = torch.tensor(list(augment.erase_value))
    return torch.stack(out)


CASES = list(itertools.product((0.0, 0.5), (0, 2, 10), (0.0, 0.7)))


@pytest.mark.parametrize(("flip", "pad", "erase"), CASES)
@pytest.mark.parametrize("size", [(16, 8), (9, 14)])
def test_it_is_what_a_plain_formulation_makes(flip: float, pad: int, erase: float, size: tuple[int, int]) -> None:
    """Also where the padding is larger than the picture, which then may show nothing but padding."""
    augment = Augment(flip, pad, [0.1, -0.7, 2.3], erase, (0.02, 0.4), (1.0, 2.0, 3.0))
    images = torch.randn(12, 3, *size, generator=torch.Generator().manual_seed(0))
    first, second = (torch.Generator().manual_seed(5) for _ in range(2))
    wanted = naive(augment, images, first)
    assert torch.equal(augment(images, second), wanted)
    assert torch.equal(first.get_state(), second.get_state())
    drawn = augment.draw(12, size, second.manual_seed(5))
    assert torch.equal(augment._place_together(augment.rounded(images), drawn), wanted)  # as another device does it
    assert torch.equal(augment.apply(images[3:7], drawn.part(slice(3, 7))), wanted[3:7])


@pytest.mark.parametrize("pad", [0, 2])
def test_order_in_memory_and_shape_are_the_same_on_a_device(pad: int) -> None:
    """Networks add up in an order that depends on that of their input in memory, so it may not depend on the device."""
    augment, images = Augment(pad=pad), torch.randn(4, 16, 8, 3).permute(0, 3, 1, 2)
    drawn = augment.draw(4, (16, 8), torch.Generator())
    here, there = augment.apply(images, drawn), augment.apply(images.to("meta"), drawn)
    assert there.device.type == "meta"
    assert there.shape == here.shape
    assert there.stride() == here.stride()
    assert here.is_contiguous() == bool(pad)
