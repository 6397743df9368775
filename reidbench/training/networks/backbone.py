"""Base class of backbones: images to a map and a vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

if TYPE_CHECKING:
    from .embedder import Embedder


class Features(NamedTuple):
    """Output of a backbone: `map` [B, C, h, w] before pooling, `vector` [B, C] after it."""

    map: torch.Tensor
    vector: torch.Tensor


class Backbone(nn.Module):
    """Base of backbones. `dim` is C; with the capability "stages", also provides `stem` and `stages`.

    The harness sets `spec` (component name, params and image size), from which a saved network is rebuilt. `mean` and
    `std` [3] are the pixel statistics that its weights were trained with. `whole`, if not None, returns the trained
    embedder that a component read this backbone from, with its neck or branches: `finetune: none` keeps it. `notes` are
    sentences about what was assumed, which the stage records.
    """

    dim: int
    spec: dict[str, Any]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    notes: tuple[str, ...] = ()
    whole: Callable[[], Embedder] | None = None  # a function, since a module here would become a part of the network

    def forward(self, images: torch.Tensor) -> Features:
        """Map normalised images [B, 3, H, W] to Features."""
        raise NotImplementedError


def layout_of(network: nn.Module) -> torch.memory_format:
    """Memory format of a network's convolutions and so of its maps: channels-last if any of them is.

    For layers that take these maps: weights in a different format are converted at every step, with the same result.
    """
    weights = (weight for weight in network.parameters() if weight.ndim == 4 and not weight.is_contiguous())
    last = any(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    return torch.channels_last if last else torch.contiguous_format
