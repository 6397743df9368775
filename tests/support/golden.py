"""Numbers by a formula, and the plainest network, for tests that compare a method with its equations in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from reidbench.training import Backbone, Features


def wave(number: int, *shape: int) -> torch.Tensor:
    """Numbers between -1 and 1 by a formula."""
    steps = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64)
    return torch.sin(0.37 * steps.square() + (0.7 + 0.13 * number) * steps + number).reshape(shape)


class Matrix(Backbone):
    """A vector [B, channels] that is a matrix times the pixels."""

    def __init__(self, channels: int, pixels: int) -> None:
        super().__init__()
        self.dim = channels
        self.spec = {}
        self.weight = nn.Parameter(wave(1, channels, pixels).float())

    def forward(self, images: torch.Tensor) -> Features:
        """Images [B, 3, H, W] of that many numbers each to their vectors."""
        vector = images.flatten(1) @ self.weight.t()
        return Features(vector[:, :, None, None], vector)


def close(name: str, found: Any, wanted: Any, tolerance: float) -> None:
    """Fails with the name of the quantity where two tensors, or numbers, differ by more than `tolerance` of their size.

    The size is that of the largest entry of `wanted`, at least 1e-12.
    """
    found, wanted = (torch.as_tensor(value).detach().double() for value in (found, wanted))
    assert found.shape == wanted.shape, f"{name}: shape {tuple(found.shape)} instead of {tuple(wanted.shape)}"
    error = (found - wanted).abs().max().item() / max(wanted.abs().max().item(), 1e-12)
    assert error <= tolerance, f"{name}: differs by {error:.3g} of its size"
