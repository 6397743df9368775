"""Embedders without training: the unchanged backbone, and colour histograms."""

from __future__ import annotations

from typing import Any

import torch

from reidbench import FinetuneContext
from reidbench.training import BackboneEmbedder, Embedder, Preprocess

from .params import HistogramParams, NoneParams


def keep_backbone(ctx: FinetuneContext[NoneParams]) -> Embedder:
    """Return the backbone's pooled vector with its current weights, random or pre-trained.

    A backbone read from a whole trained network is returned as that network, with its neck or branches.
    """
    backbone = ctx.backbone()
    if backbone.whole is not None:
        return backbone.whole()
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size, backbone.mean, backbone.std))


class ColourHistogram(Embedder):
    """Joint RGB histogram of each horizontal stripe over the middle columns, which show the person."""

    def __init__(self, preprocess: Preprocess | dict[str, Any], stripes: int, bins: int, middle: float) -> None:
        super().__init__(preprocess=preprocess, stripes=stripes, bins=bins, middle=middle)
        self.stripes = stripes
        self.bins = bins
        self.middle = middle

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map images [B, 3, H, W] in 0..1 to features [B, stripes x bins^3]: shares of the stripe's pixels."""
        margin = int(images.shape[3] * (1 - self.middle) / 2)
        images = images[..., margin : images.shape[3] - margin]
        levels = (images * self.bins).long().clamp_(0, self.bins - 1)
        colours = (levels[:, 0] * self.bins + levels[:, 1]) * self.bins + levels[:, 2]  # [B, H, W]
        return torch.cat([self._shares(stripe.flatten(1)) for stripe in colours.tensor_split(self.stripes, 1)], 1)

    def _shares(self, colours: torch.Tensor) -> torch.Tensor:
        counts = torch.zeros(len(colours), self.bins**3, device=colours.device)
        return counts.scatter_add_(1, colours, torch.ones_like(colours, dtype=counts.dtype)) / colours.shape[1]


def colour_histogram(ctx: FinetuneContext[HistogramParams]) -> Embedder:
    """Return the histogram embedder; nothing is trained, and the recipe's backbone is not used."""
    params = ctx.params
    return ColourHistogram(Preprocess(ctx.image_size, (0, 0, 0), (1, 1, 1)), params.stripes, params.bins, params.middle)
