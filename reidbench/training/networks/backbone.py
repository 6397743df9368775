"""What every backbone is: images to a map and a vector."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn


class Features(NamedTuple):
    """A backbone's answer: `map` [B, C, h, w] before pooling, `vector` [B, C] after it."""

    map: torch.Tensor
    vector: torch.Tensor


class Backbone(nn.Module):
    """Base of backbones. `dim` is C; with the capability "stages" also `stem` and `stages`.

    `spec` (component name, params and image size) is set by the harness and lets a saved network be rebuilt.
    `mean` and `std` [3] are the pixel statistics that its weights were trained with.
    """

    dim: int
    spec: dict[str, Any]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def forward(self, images: torch.Tensor) -> Features:
        """images [B, 3, H, W], normalised, to Features."""
        raise NotImplementedError


def layout_of(network: nn.Module) -> torch.memory_format:
    """The memory format of a network's convolutions, and so of its maps: channels-last where one of them is.

    For layers that take these maps: weights of another layout are converted at every step, to the same result.
    """
    weights = (weight for weight in network.parameters() if weight.ndim == 4 and not weight.is_contiguous())
    last = any(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    return torch.channels_last if last else torch.contiguous_format
