"""Colour changes against torchvision's, one at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from reidbench.training.batches.colour import colour_jitter
from reidbench.training.networks.torchvision_compat import prepare

prepare()
from torchvision.transforms import functional as reference  # noqa: E402 - it may need the line above

NAMES = ("brightness", "contrast", "saturation", "hue")


def images(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 16, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", range(4))
def test_each_change_is_torchvisions(kind: int) -> None:
    """With one amount alone the order does not matter, and what was drawn can be drawn again."""
    most = [0.0] * 4
    most[kind] = 0.4
    jittered = colour_jitter(images(), most, 1.0, torch.Generator().manual_seed(1))
    again = torch.Generator().manual_seed(1)
    torch.rand(6, generator=again), torch.rand(6, 4, generator=again)
    amounts = (2 * torch.rand(6, 4, generator=again) - 1)[:, kind] * 0.4
    change: Callable[..., torch.Tensor] = getattr(reference, f"adjust_{NAMES[kind]}")
    shift = 0 if kind == 3 else 1  # a hue is moved by its amount, the others are multiplied by 1 + amount
    expected = torch.stack([change(image, shift + float(a)) for image, a in zip(images(), amounts, strict=True)])
    assert not torch.allclose(jittered, images(), atol=0.01)
    # torchvision rounds the third of its grey weights, which moves contrast and saturation by a ten-thousandth
    assert torch.allclose(jittered, expected, atol=3e-4)


def test_probability_counts_images() -> None:
    many = images(1000)
    changed = (colour_jitter(many, [0.4] * 4, 0.3, torch.Generator()) != many).flatten(1).any(1)
    assert abs(float(changed.float().mean()) - 0.3) < 0.05
    assert colour_jitter(many, [0.4] * 4, 0.0, torch.Generator()) is many
