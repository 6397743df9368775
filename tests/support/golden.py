"""Deterministic numbers and a minimal network, for tests that compare a method with its equations in float64."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from reidbench.training import Backbone, Features


def wave(number: int, *shape: int) -> torch.Tensor:
    """Numbers between -1 and 1 by a formula."""
    steps = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64)
    return torch.sin(0.37 * steps.square() + (0.7 + 0.13 * number) * steps + number).reshape(shape)


class Matrix(Backbone):
    """A vector [B, channels]: a matrix times the pixels."""

    def __init__(self, channels: int, pixels: int) -> None:
        super().__init__()
        self.dim = channels
        self.spec = {}
        self.weight = nn.Parameter(wave(1, channels, pixels).float())

    def forward(self, images: torch.Tensor) -> Features:
        """Images [B, 3, H, W] with as many values as the matrix has columns, to vectors."""
        vector = images.flatten(1) @ self.weight.t()
        return Features(vector[:, :, None, None], vector)


def convolved(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *, stride: int = 1, pad: int = 0,
    dilation: int = 1, mirror: bool = False,
) -> torch.Tensor:  # fmt: skip
    """Convolution of maps [B, C, h, w] by definition: for each kernel position its matrix times the shifted map.

    `pad` pixels around the map are zeros, or with `mirror` the map reflected in its first and last rows and columns.
    """
    for dim in (2, 3):
        x = _padded(x, dim, pad, mirror)
    reach = [dilation * (size - 1) for size in weight.shape[2:]]
    height, width = (x.shape[dim + 2] - reach[dim] for dim in (0, 1))
    total = torch.zeros((), dtype=x.dtype)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            top, left = dilation * row, dilation * column
            part = x[:, :, top : top + height : stride, left : left + width : stride]
            total = total + torch.einsum("oi,bihw->bohw", weight[:, :, row, column], part)
    return total if bias is None else total + bias[:, None, None]


def _padded(x: torch.Tensor, dim: int, pad: int, mirror: bool) -> torch.Tensor:
    length = x.shape[dim]
    places = torch.arange(-pad, length + pad)
    inside = places.abs()
    inside = torch.where(inside >= length, 2 * length - 2 - inside, inside)
    found = x.index_select(dim, inside if mirror else places.clamp(0, length - 1))
    if not mirror:
        shape = [-1 if place == dim else 1 for place in range(x.ndim)]
        found = found * ((places >= 0) & (places < length)).view(shape)
    return found


def weighted_triplet(features: torch.Tensor, labels: list[int], eps: float = 0.0) -> float:
    """AGW's weighted regularised triplet in Python's numbers; `eps` is added to both sums of weights.

    With it the largest exponent is exp(0) on both sides: of a positive the farthest, of a negative nothing at all.
    """
    rows = features.double().tolist()
    total = 0.0
    for i, one in enumerate(rows):
        distances = [max(math.dist(one, other), 1e-6) for other in rows]
        positives = [d for d, label in zip(distances, labels, strict=True) if label == labels[i]]
        negatives = [d for d, label in zip(distances, labels, strict=True) if label != labels[i]]
        top = max(positives)
        over = [math.exp(d - top) for d in positives]
        under = [math.exp(-d) for d in negatives]
        farthest = sum(d * w for d, w in zip(positives, over, strict=True)) / (sum(over) + eps)
        nearest = sum(d * w for d, w in zip(negatives, under, strict=True)) / (sum(under) + eps)
        total += math.log1p(math.exp(farthest - nearest))
    return total / len(rows)


def close(name: str, found: Any, wanted: Any, tolerance: float) -> None:
    """Fail with the name of the quantity if two tensors or numbers differ by more than `tolerance` of their size.

    The size is that of the largest entry of `wanted`, at least 1e-12.
    """
    found, wanted = (torch.as_tensor(value).detach().double() for value in (found, wanted))
    assert found.shape == wanted.shape, f"{name}: shape {tuple(found.shape)} instead of {tuple(wanted.shape)}"
    error = (found - wanted).abs().max().item() / max(wanted.abs().max().item(), 1e-12)
    assert error <= tolerance, f"{name}: differs by {error:.3g} of its size"
