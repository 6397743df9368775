"""Losses of two-stream: a classifier after the neck, and a triplet loss over images of all modalities before it."""

from __future__ import annotations

import torch

from reidbench.training import IdentityLosses
from reidbench.training.optim.losses import triplet_loss

from .params import TwoStreamParams


class CrossModalLosses(IdentityLosses):
    """Cross-entropy after the neck, and the chosen triplet loss before it."""

    def __init__(self, params: TwoStreamParams, classes: int, dim: int) -> None:
        super().__init__([dim], classes, smoothing=params.label_smoothing, margin=params.margin)
        self.across = triplet_loss(params.triplet, params.margin)
        self.weight = params.triplet_weight

    def forward(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute scalars from features [B, D] before and after the neck and labels [B]; "loss" is the weighted sum."""
        identity = self.cross_entropies(self.logits([after]), labels).sum()
        triplet = self.across(before, labels)
        return {"loss": identity + self.weight * triplet, "identity": identity, "triplet": triplet}
