"""Losses of CLIP-ReID's two stages (Li et al., AAAI 2023, equations 3 to 9)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from reidbench.training import IdentityLosses

from .params import ClipReidParams


def contrastive(first: torch.Tensor, second: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Supervised contrastive loss of pairs, image and text or text and image, as a scalar.

    For each row of `first` [B, D] the mean, over the rows of `second` [B, D] of the same identity, of the negative
    log-softmax of the inner products over all of `second` (equations 5 and 6). Labels [B].
    """
    logs = F.log_softmax(first @ second.t(), dim=1)
    same = (labels[:, None] == labels[None]).to(logs)
    return -((same * logs).sum(1) / same.sum(1)).mean()


class ClipReidLosses(IdentityLosses):
    """Second stage: cross-entropies after the necks of two vectors, triplets of three, and over the texts (i2tce)."""

    def __init__(self, dims: Sequence[int], classes: int, params: ClipReidParams) -> None:
        super().__init__(dims, classes, smoothing=params.label_smoothing, margin=params.margin)
        self.params = params

    def forward(
        self, vectors: Sequence[torch.Tensor], after: Sequence[torch.Tensor], texts: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Compute the weighted sum and its parts, scalars.

        `vectors` are those of `Encoded`, the last projected [B, shared]; `after` the last two after their necks;
        `texts` [classes, shared]; labels [B] from 0.
        """
        identity = self.cross_entropies(self.logits(after), labels).sum()
        triplet = self.triplets(vectors, labels).sum()
        scores = vectors[-1] @ texts.t()
        text = self.cross_entropy(scores, labels)
        weights = self.params
        loss = weights.identity_weight * identity + weights.triplet_weight * triplet + weights.text_weight * text
        accuracy = (scores.detach().argmax(1) == labels).float().mean()
        return {"loss": loss, "identity": identity, "triplet": triplet, "text": text, "accuracy": accuracy}
