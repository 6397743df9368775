"""Flips, shifts and erased rectangles on images that can be read by eye."""

from __future__ import annotations

import torch

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
