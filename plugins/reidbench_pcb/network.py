"""Part-based Convolutional Baseline: stripes of a map, or parts that a classifier of positions weights."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, Embedder, Preprocess, Reduction
from reidbench.training.networks.backbone import layout_of


class PartClassifier(nn.Module):
    """Refined part pooling's part classifier: maps [B, C, h, w] to probabilities [B, parts, h, w] at each position.

    A linear layer and a softmax over parts (Sun et al., eq. 5). With `inputs` the layer has a bias and reads, as in the
    official code, means over groups of channels, about `inputs` in number, minus their mean over the positions.
    """

    def __init__(self, channels: int, parts: int, inputs: int | None) -> None:
        super().__init__()
        self.each = None if inputs is None else max(1, channels // inputs)  # channels of a group
        read = channels if self.each is None else channels // self.each
        self.layer = nn.Conv2d(read, parts, 1, bias=inputs is not None)
        nn.init.kaiming_normal_(self.layer.weight, mode="fan_out")
        if self.layer.bias is not None:
            nn.init.zeros_(self.layer.bias)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the probability of each part at each position; they sum to 1 over the parts."""
        if self.each is not None:
            groups = self.layer.in_channels
            maps = maps[:, : groups * self.each].reshape(len(maps), groups, self.each, *maps.shape[2:]).mean(2)
            maps = maps - maps.mean((2, 3), keepdim=True)
        return self.layer(maps).softmax(1)  # type: ignore[no-any-return]


class PcbEmbedder(Embedder):
    """Parts of unit length, concatenated: [B, parts x C] as pooled, or [B, parts x dim] as reduced.

    Parts are equal stripes, or with `refined` means of the map weighted by the part classifier. Both share backbone and
    reductions, so a training with a part classifier may switch between them by setting `refined`.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        parts: int = 6,
        dim: int = 256,
        reduction: Literal["shared", "separate"] = "shared",
        dropout: float = 0.5,
        feature: Literal["pooled", "reduced"] = "pooled",
        refined: bool = False,
        part_inputs: int | None = 256,
    ) -> None:
        super().__init__(
            backbone=backbone, preprocess=preprocess, parts=parts, dim=dim, reduction=reduction, dropout=dropout,
            feature=feature, refined=refined, part_inputs=part_inputs,
        )  # fmt: skip
        self.backbone = backbone
        self.parts, self.dim, self.feature, self.refined = parts, dim, feature, refined
        count = 1 if reduction == "shared" else parts
        self.reductions = nn.ModuleList(Reduction(backbone.dim, dim, bias=False) for _ in range(count))
        for one in self.reductions:
            nn.init.kaiming_normal_(one.convolution.weight, mode="fan_out")  # type: ignore[arg-type,union-attr]
        self.classifier = PartClassifier(backbone.dim, parts, part_inputs) if refined else None
        self.drop = nn.Dropout(dropout)
        for layer in (self.reductions, self.classifier):
            if layer is not None:
                layer.to(memory_format=layout_of(backbone))  # type: ignore[call-overload]

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images to parts [B, C, parts, 1].

        Raises ReidbenchError for a map with fewer rows than parts.
        """
        maps = self.backbone(images).map
        if maps.shape[2] < self.parts:
            raise ReidbenchError(
                f"pcb cannot cut {self.parts} stripes from a map of {maps.shape[2]} rows: set `parts` to at most "
                f"{maps.shape[2]}, or use a greater image height or `last_stride: 1`"
            )
        if self.classifier is None or not self.refined:
            return F.adaptive_avg_pool2d(maps, (self.parts, 1))
        # Times the number of parts, so that equal probabilities give each part the mean of the map.
        shares = self.classifier(self.drop(maps)) * self.parts / maps[0, 0].numel()
        return torch.einsum("bphw,bchw->bcp", shares, maps).unsqueeze(3)

    def reduced(self, pooled: torch.Tensor) -> list[torch.Tensor]:
        """Reduce parts [B, C, parts, 1] to a vector [B, dim] for each part, after dropout in training."""
        dropped = self.drop(pooled)
        if len(self.reductions) == 1:
            return list(self.reductions[0](dropped).unflatten(1, (self.dim, self.parts)).unbind(2))
        return [reduce(part) for reduce, part in zip(self.reductions, dropped.split(1, 2), strict=True)]

    def vectors(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map normalised images to a vector [B, dim] for each part, from the top; each has a classifier in training."""
        return self.reduced(self.pooled(images))

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to features of length sqrt(parts), whose cosine and Euclidean rankings are the same."""
        pooled = self.pooled(images)
        parts = pooled.flatten(2).unbind(2) if self.feature == "pooled" else self.reduced(pooled)
        return torch.cat([F.normalize(part, dim=1) for part in parts], 1)
