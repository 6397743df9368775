"""Losses of an embedder with one vector or several: a classifier on each, and a batch-hard triplet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from reidbench.training.networks.heads import Start, identity_heads
from reidbench.training.optim.losses import BatchHardTriplet, LabelSmoothingCrossEntropy, euclidean_distances


class IdentityLosses(nn.Module):
    """A classifier for each of several vectors, of lengths `dims`, and a triplet loss; the caller weighs and joins.

    `start` says what the classifiers' weights are drawn from: see `identity_heads`.
    """

    def __init__(
        self,
        dims: Sequence[int],
        classes: int,
        *,
        smoothing: float,
        margin: float | None,
        bias: bool = False,
        distances: Callable[..., torch.Tensor] = euclidean_distances,
        start: Start = "small",
    ) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(identity_heads(dims, classes, bias=bias, start=start))
        self.cross_entropy = LabelSmoothingCrossEntropy(smoothing)
        self.triplet = BatchHardTriplet(margin, distances)

    def logits(self, vectors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Vectors [B, D], one for each classifier, to logits [B, classes]."""
        return [classifier(vector) for classifier, vector in zip(self.classifiers, vectors, strict=True)]

    def cross_entropies(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """One cross-entropy for each vector's logits [B, classes]: [vectors]."""
        return torch.stack([self.cross_entropy(one, labels) for one in logits])

    def triplets(self, vectors: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """One triplet loss for each vector [B, D]: [vectors]."""
        return torch.stack([self.triplet(vector, labels) for vector in vectors])
