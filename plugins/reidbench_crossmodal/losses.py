"""Losses of two-stream: a classifier after the neck, and a triplet loss over images of all modalities before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import IdentityLosses
from reidbench.training.optim.losses import euclidean_distances

from .params import TwoStreamParams

CODE_EPS = 1e-6  # added to the sum of the weights by the official code


class WeightedTriplet(nn.Module):
    """Weighted regularised triplet (Ye et al., TPAMI 2021): mean over images of log(1 + exp(mean d_ap - mean d_an)).

    Means are weighted by the softmax of d_ap over an image's positives, including itself as in the official code, and
    by that of -d_an over its negatives. With `code` the denominator is 1e-6 larger, as in the official code: the
    weights of negatives then vanish at distances well above 14, since exp(-14) is about 1e-6.
    """

    def __init__(self, *, code: bool = False) -> None:
        super().__init__()
        self.code = code

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute a float32 scalar from features [B, D], not normalised, and labels [B] of at least two identities."""
        with torch.autocast(features.device.type, enabled=False):
            distances = euclidean_distances(features.float(), features.float())
        same = labels[:, None] == labels[None]
        positive = (distances * self._weights(distances, same)).sum(1)
        negative = (distances * self._weights(-distances, ~same)).sum(1)
        return F.softplus(positive - negative).mean()

    def _weights(self, values: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
        if not self.code:
            return values.masked_fill(~among, -torch.inf).softmax(1)
        # Maximum of the products, which are 0 for other images, so that nothing exceeds exp(0).
        shares = (values - (values * among).amax(1, keepdim=True)).exp() * among
        return shares / (shares.sum(1, keepdim=True) + CODE_EPS)


class CrossModalLosses(IdentityLosses):
    """Cross-entropy after the neck, and the chosen triplet loss before it."""

    def __init__(self, params: TwoStreamParams, classes: int, dim: int) -> None:
        super().__init__([dim], classes, smoothing=params.label_smoothing, margin=params.margin)
        weighted = WeightedTriplet(code=params.triplet == "weighted-code")
        self.across: nn.Module = self.triplet if params.triplet == "hard" else weighted
        self.weight = params.triplet_weight

    def forward(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute scalars from features [B, D] before and after the neck and labels [B]; "loss" is the weighted sum."""
        identity = self.cross_entropies(self.logits([after]), labels).sum()
        triplet = self.across(before, labels)
        return {"loss": identity + self.weight * triplet, "identity": identity, "triplet": triplet}
