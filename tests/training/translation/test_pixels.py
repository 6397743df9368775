"""Pixels of translated images by hand."""

from __future__ import annotations

import torch

from reidbench.training import stream
from reidbench.training.translation.pixels import crop_and_flip, to_pixels, to_signed


def test_crops_and_flips_are_windows_of_the_image() -> None:
    pixels = torch.arange(5 * 6 * 4).view(5, 1, 6, 4)
    assert torch.equal(crop_and_flip(pixels, (6, 4), 0.0, stream(0, "crop")), pixels)
    assert torch.equal(crop_and_flip(pixels, (6, 4), 1.0, stream(0, "crop")), pixels.flip(3))
    corners = {int(crop_and_flip(pixels[:1], (4, 3), 0.0, stream(seed, "crop"))[0, 0, 0, 0]) for seed in range(60)}
    assert corners == {0, 1, 4, 5, 8, 9}  # rows 0 to 2, columns 0 and 1


def test_pixels_are_signed_and_back_without_a_loss() -> None:
    """0 is -1, 255 is 1; values beyond are clipped, and halves of a grey level are rounded."""
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    signed = to_signed(pixels)
    assert (signed.min().item(), signed.max().item()) == (-1, 1)
    assert torch.equal(to_pixels(signed), pixels.permute(0, 2, 3, 1))
    values = torch.tensor([-1.5, 1.5, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1])
    assert to_pixels(values.view(1, 1, 2, 2)).flatten().tolist() == [0, 255, 0, 1]
