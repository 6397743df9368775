"""Losses of pairs of images: the circle loss of a batch, and losses with a memory of earlier batches."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

MemoryLoss = Literal["contrastive", "triplet"]
SAME_IMAGE = 1 - 1e-5  # cosine from which a positive counts as the image itself
CONTRASTIVE_MARGIN = 0.5  # cosine above which a negative is pushed
TRIPLET_MARGIN, TRIPLET_FLOOR = 0.1, 0.6
NO_PAIR = -1e9  # logit of a pair that does not count; finite, so that an image without any such pair has loss 0


def circle_pairs(features: torch.Tensor, labels: torch.Tensor, scale: float, margin: float) -> torch.Tensor:
    """Circle loss with pairwise labels (Sun et al., CVPR 2020, eq. 6): features [B, D] and labels [B] to a scalar.

    For each image, with c the cosines to images of its identity (p) and of others (n):
    log(1 + sum_n exp(s [c + m]+ (c - m)) sum_p exp(-s [1 + m - c]+ (c - 1 + m))), then the mean over images. The
    factors in brackets are weights without gradient.
    """
    unit = F.normalize(features, dim=1)
    cosines = unit @ unit.t()
    still = cosines.detach()
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    pull = -scale * (1 + margin - still).clamp_min(0) * (cosines - 1 + margin)
    push = scale * (still + margin).clamp_min(0) * (cosines - margin)
    pulls = pull.masked_fill(~positive, NO_PAIR).logsumexp(1)
    pushes = push.masked_fill(same, NO_PAIR).logsumexp(1)
    return F.softplus(pulls + pushes).mean()


def contrastive_pairs(cosines: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Contrastive loss of cosines [B, N] with images of the same or another identity (`same` [B, N]) to a scalar.

    The sum of 1 - c over positives and of c over negatives above 0.5, averaged over B.
    """
    positives = same & (cosines < SAME_IMAGE)
    negatives = ~same & (cosines > CONTRASTIVE_MARGIN)
    return _pulled_and_pushed(cosines, positives, negatives)


def triplet_pairs(cosines: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Triplet loss of cosines [B, N] with images of the same or another identity (`same` [B, N]) to a scalar.

    An image's positives count if they are below its hardest negative plus 0.1, its negatives if they are above its
    easiest positive, or 0.6 if that is lower, minus 0.1; then as `contrastive_pairs`. An image without positives has
    loss 0.
    """
    positives = same & (cosines < SAME_IMAGE)
    hardest = cosines.masked_fill(same, -torch.inf).amax(1, keepdim=True)
    easiest = cosines.masked_fill(~positives, -torch.inf).amax(1, keepdim=True)
    compared = easiest.isfinite()
    pulled = positives & (cosines < hardest + TRIPLET_MARGIN)
    pushed = ~same & (cosines > easiest.clamp_min(TRIPLET_FLOOR) - TRIPLET_MARGIN) & compared
    return _pulled_and_pushed(cosines, pulled, pushed)


def _pulled_and_pushed(cosines: torch.Tensor, pulled: torch.Tensor, pushed: torch.Tensor) -> torch.Tensor:
    losses = torch.where(pulled, 1 - cosines, 0.0) + torch.where(pushed, cosines, 0.0)
    return losses.sum() / len(cosines)


class CrossBatchMemory(nn.Module):
    """Queue of the features and labels of the last `size` images, which each batch is compared with (XBM).

    Wang et al., CVPR 2020. The features are those of their batch, not recomputed, and have no gradient. The queue is
    part of the state; batches have at most `size` images.
    """

    features: torch.Tensor
    labels: torch.Tensor
    entered: torch.Tensor

    def __init__(self, size: int, dim: int, loss: MemoryLoss) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(size, dim))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.long))
        self.register_buffer("entered", torch.zeros((), dtype=torch.long))  # number of images so far
        self.loss = contrastive_pairs if loss == "contrastive" else triplet_pairs

    @torch.no_grad()
    def enter(self, unit: torch.Tensor, labels: torch.Tensor) -> None:
        """Replace the oldest images by unit features [B, D] with labels [B]."""
        places = (self.entered + torch.arange(len(unit), device=unit.device)) % len(self.features)
        self.features[places] = unit.detach().to(self.features)
        self.labels[places] = labels
        self.entered += len(unit)

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Enter features [B, D] with labels [B], and compute a scalar loss of their cosines with the queue."""
        unit = F.normalize(features, dim=1)
        self.enter(unit, labels)
        held = min(int(self.entered), len(self.features))
        return self.loss(unit @ self.features[:held].t(), labels[:, None] == self.labels[None, :held])
