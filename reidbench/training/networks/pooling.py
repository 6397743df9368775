"""Generalised-mean pooling of a feature map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import ReidbenchError

EPS = 1e-6  # lower bound on a map's values: x^p has no finite gradient in p at 0


def generalised_mean(
    maps: torch.Tensor, exponent: torch.Tensor | float, cells: tuple[int, int] = (1, 1), eps: float = EPS
) -> torch.Tensor:
    """Maps [B, C, h, w] to [B, C, rows, columns]: mean(max(x, eps)^p)^(1/p) in each cell, in float32 or finer.

    p = 1 is the average of positive maps; a large p approaches the maximum.
    """
    values = maps if maps.dtype == torch.float64 else maps.float()
    powers = values.clamp(min=eps).pow(exponent)
    means = powers.mean((2, 3), keepdim=True) if cells == (1, 1) else F.adaptive_avg_pool2d(powers, cells)
    return means.pow(1 / exponent)


class GeM(nn.Module):
    """GeM pooling (Radenovic et al., TPAMI 2019) with one exponent for all channels, learned or fixed."""

    exponent: torch.Tensor

    def __init__(self, exponent: float = 3.0, *, learned: bool = True, eps: float = EPS) -> None:
        super().__init__()
        value = torch.tensor([exponent])
        if learned:
            self.exponent = nn.Parameter(value)
        else:
            self.register_buffer("exponent", value)
        self.eps = eps

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps [B, C, h, w] to vectors [B, C]."""
        return generalised_mean(maps, self.exponent, eps=self.eps).flatten(1)


def pooling(name: str) -> GeM | None:
    """Layer for a method's parameter `pool`: "gem", "gem-fixed", or None for "backbone", which pools itself.

    Raises ReidbenchError for another name.
    """
    if name not in ("backbone", "gem", "gem-fixed"):
        raise ReidbenchError(f"unknown pooling {name!r}; choose backbone, gem or gem-fixed")
    return None if name == "backbone" else GeM(learned=name == "gem")
