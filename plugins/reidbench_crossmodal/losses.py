"""Losses of two-stream: a classifier behind the neck, and a triplet loss over images of all modalities before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import IdentityLosses
from reidbench.training.optim.losses import euclidean_distances

from .params import TwoStreamParams

CODE_EPS = 1e-6  # which the official code adds to the sum of the weights


class WeightedTriplet(nn.Module):
    """Weighted regularised triplet (Ye et al., TPAMI 2021): log(1 + exp(mean d_ap - mean d_an)), the mean over images.

    Means are weighted by the softmax of d_ap over an image's positives, itself among them as in the official code, and
    by that of -d_an over its negatives. With `code` the sum below the weights is 1e-6 larger, as it is there: the
    weights of negatives then vanish where distances are well above 14, since exp(-14) is 1e-6.
    """

    def __init__(self, *, code: bool = False) -> None:
        super().__init__()
        self.code = code

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """features [B, D], not normalised, and labels [B], of two or more identities, to a scalar, in float32."""
        with torch.autocast(features.device.type, enabled=False):
            distances = euclidean_distances(features.float(), features.float())
        same = labels[:, None] == labels[None]
        positive = (distances * self._weights(distances, same)).sum(1)
        negative = (distances * self._weights(-distances, ~same)).sum(1)
        return F.softplus(positive - negative).mean()

    def _weights(self, values: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
        if not self.code:
            return values.masked_fill(~among, -torch.inf).softmax(1)
        # The largest of the products, of which those of other images are 0: so nothing is above exp(0).
        shares = (values - (values * among).amax(1, keepdim=True)).exp() * among
        return shares / (shares.sum(1, keepdim=True) + CODE_EPS)


class CrossModalLosses(IdentityLosses):
    """Cross-entropy behind the neck, and the triplet loss of the parameters before it."""

    def __init__(self, params: TwoStreamParams, classes: int, dim: int) -> None:
        super().__init__([dim], classes, smoothing=params.label_smoothing, margin=params.margin)
        weighted = WeightedTriplet(code=params.triplet == "weighted-code")
        self.across: nn.Module = self.triplet if params.triplet == "hard" else weighted
        self.weight = params.triplet_weight

    def forward(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features [B, D] before and after the neck, labels [B]: scalars, of which "loss" is the weighted sum."""
        identity = self.cross_entropies(self.logits([after]), labels).sum()
        triplet = self.across(before, labels)
        return {"loss": identity + self.weight * triplet, "identity": identity, "triplet": triplet}
