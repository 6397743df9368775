"""Parts of a feature map: grids of equal cells, and stripes with borders that depend on channel maxima."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def grid_vectors(maps: torch.Tensor, rows: int, columns: int, pool: str = "max") -> list[torch.Tensor]:
    """Maps [B, C, h, w] to rows x columns vectors [B, C, 1, 1], row by row. Cell sizes may differ by a pixel."""
    pooled = (F.adaptive_max_pool2d if pool == "max" else F.adaptive_avg_pool2d)(maps, (rows, columns))
    return [pooled[:, :, y : y + 1, x : x + 1] for y in range(rows) for x in range(columns)]


@torch.no_grad()
def balanced_borders(maps: torch.Tensor, stripes: int) -> torch.Tensor:
    """Rows [B, stripes + 1] at which stripes begin (and the last one ends), with equally many channel maxima.

    For each image: finds the row of each channel's maximum, counts maxima per row, and cuts where this histogram
    reaches 1/stripes, 2/stripes, ... of its mass (RMGL's ABP). A constant channel, such as a dead one, has no maximum;
    without any maximum, stripes have equal height. Every stripe has at least one row. Raises ValueError for more
    stripes than rows.
    """
    batch, _, height, width = maps.shape
    if stripes > height:
        raise ValueError(f"{stripes} stripes require at least as many rows, the map has {height}")
    flat = maps.flatten(2)
    counted = (flat.amax(2) > flat.amin(2))[:, :, None]
    histogram = (F.one_hot(flat.argmax(2) // width, height) * counted).sum(1)
    histogram[~counted.any(1).squeeze(1)] = 1
    mass = histogram.cumsum(1)
    borders = torch.zeros(batch, stripes + 1, dtype=torch.long, device=maps.device)
    borders[:, -1] = height
    for cut in range(1, stripes):
        reached = (mass * stripes >= mass[:, -1:] * cut).int().argmax(1) + 1
        lowest = borders[:, cut - 1] + 1
        borders[:, cut] = torch.minimum(torch.maximum(reached, lowest), torch.full_like(lowest, height - stripes + cut))
    return borders


def balanced_vectors(maps: torch.Tensor, stripes: int, pool: str = "max") -> list[torch.Tensor]:
    """Maps [B, C, h, w] to one vector [B, C, 1, 1] per stripe of `balanced_borders`, from the top."""
    borders = balanced_borders(maps, stripes)
    rows = torch.arange(maps.shape[2], device=maps.device)
    vectors = []
    for stripe in range(stripes):
        inside = (rows >= borders[:, stripe, None]) & (rows < borders[:, stripe + 1, None])
        mask = inside[:, None, :, None]
        if pool == "max":
            vectors.append(maps.masked_fill(~mask, -torch.inf).amax((2, 3), keepdim=True))
        else:
            size = inside.sum(1).view(-1, 1, 1, 1) * maps.shape[3]
            vectors.append((maps * mask).sum((2, 3), keepdim=True) / size)
    return vectors


class Apart(nn.Module):
    """Apply a part of a network to each horizontal stripe separately (RMGL's RP): no layer crosses a border.

    The stripes of an intermediate map are processed one after the other and concatenated.
    """

    def __init__(self, inner: nn.Module, stripes: int) -> None:
        super().__init__()
        self.inner = inner
        self.stripes = stripes

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps [B, C, h, w] to the inner part's maps of each stripe, joined by height.

        Raises ValueError for more stripes than rows.
        """
        if self.stripes > maps.shape[2]:
            raise ValueError(f"{self.stripes} stripes require at least as many rows, the map has {maps.shape[2]}")
        return torch.cat([self.inner(stripe) for stripe in maps.tensor_split(self.stripes, dim=2)], dim=2)
