"""Losses of an embedder with one or several vectors: a classifier for each, and a batch-hard triplet loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from reidbench.training.networks.heads import Start, identity_heads
from reidbench.training.optim.losses import BatchHardTriplet, LabelSmoothingCrossEntropy, euclidean_distances


class IdentityLosses(nn.Module):
    """A classifier for each of several vectors, of lengths `dims`, and a triplet loss; the caller sums them.

    `start` is the distribution of the classifiers' initial weights: see `identity_heads`.
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
        """Vectors [B, D], one per classifier, to logits [B, classes]."""
        return [classifier(vector) for classifier, vector in zip(self.classifiers, vectors, strict=True)]

    def cross_entropies(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of each vector's logits [B, classes], as [vectors]."""
        return torch.stack([self.cross_entropy(one, labels) for one in logits])

    def triplets(self, vectors: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Triplet loss of each vector [B, D], as [vectors]."""
        return torch.stack([self.triplet(vector, labels) for vector in vectors])
