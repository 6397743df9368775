"""DINO's projection head, with the parameter names of its checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class WeightNormed(nn.Module):
    """A linear map without bias whose rows are g v / |v|; with `frozen` g stays 1, so the rows are unit vectors.

    Names and shapes are those of torch's weight norm before its parametrisations: `weight_g` [outputs, 1], `weight_v`
    [outputs, inputs].
    """

    def __init__(self, inputs: int, outputs: int, *, frozen: bool) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(outputs, 1), requires_grad=not frozen)
        self.weight_v = nn.Parameter(nn.Linear(inputs, outputs, bias=False).weight.detach().clone())

    @property
    def weight(self) -> torch.Tensor:
        """The effective matrix [outputs, inputs]."""
        return self.weight_g * F.normalize(self.weight_v.float(), dim=1)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs] to [B, outputs]."""
        return F.linear(vectors, self.weight)


class DinoHead(nn.Module):
    """Three linear layers with GELU, normalisation, and the weight-normed last layer: [B, inputs] to [B, K]."""

    def __init__(self, inputs: int, outputs: int, *, hidden: int, bottleneck: int, norm_last_layer: bool) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last_layer = WeightNormed(bottleneck, outputs, frozen=norm_last_layer)

    def project(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the unit vectors [B, bottleneck] before the last layer, in float32."""
        return F.normalize(self.mlp(vectors).float(), dim=1)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs] to [B, K]; with unit rows no absolute value exceeds 1."""
        return self.last_layer(self.project(vectors))  # type: ignore[no-any-return]
