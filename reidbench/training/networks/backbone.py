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
