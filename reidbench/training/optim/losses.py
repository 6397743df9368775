"""Losses of supervised re-identification."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

WEIGHTS_EPS = 1e-6  # added to the sum of the weights of a weighted triplet by the official code


class LabelSmoothingCrossEntropy(nn.Module):
    """Cross-entropy against (1 - eps) one-hot + eps / C: eps is spread over all C classes (BoT, BDB)."""

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """logits [B, C] and labels [B] to a scalar, the mean over B; in float32."""
        return F.cross_entropy(logits.float(), labels, label_smoothing=self.smoothing)


def euclidean_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean distances [A, B] of [A, D] and [B, D]; at least 1e-6, which keeps the root's gradient finite."""
    squares = first.pow(2).sum(1, keepdim=True) + second.pow(2).sum(1)[None] - 2 * first @ second.t()
    return squares.clamp_min(1e-12).sqrt()


def cosine_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Cosine distances [A, B] of [A, D] and [B, D]: 1 - cosine, from 0 to 2."""
    return 1 - F.normalize(first, dim=1) @ F.normalize(second, dim=1).t()


class BatchHardTriplet(nn.Module):
    """Batch-hard triplet loss: farthest image of the same identity against nearest of another (Hermans et al., 2017).

    With `margin` the hinge max(0, margin + d_ap - d_an), with None the soft margin log(1 + exp(d_ap - d_an)).
    """

    def __init__(
        self, margin: float | None = 0.3, distances: Callable[..., torch.Tensor] = euclidean_distances
    ) -> None:
        super().__init__()
        self.margin = margin
        self.distances = distances

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Unnormalised features [B, D] and labels [B], of at least two identities, to a scalar.

        In float32, also under autocast: distances are small differences of large squares.
        """
        with torch.autocast(features.device.type, enabled=False):
            distances = self.distances(features.float(), features.float())
        same = labels[:, None] == labels[None]
        hardest_positive = distances.masked_fill(~same, -torch.inf).amax(1)
        hardest_negative = distances.masked_fill(same, torch.inf).amin(1)
        gap = hardest_positive - hardest_negative
        loss = F.softplus(gap) if self.margin is None else F.relu(gap + self.margin)
        return loss.mean()


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
        return shares / (shares.sum(1, keepdim=True) + WEIGHTS_EPS)


def triplet_loss(name: str, margin: float | None) -> nn.Module:
    """Return the loss for a method's parameter `triplet`: "hard" with `margin`, "weighted" or "weighted-code"."""
    return BatchHardTriplet(margin) if name == "hard" else WeightedTriplet(code=name == "weighted-code")


class CenterLoss(nn.Module):
    """(1 / B) sum |f - c_y|^2 with learned centres (Wen et al., 2016), as in BoT."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(classes, dim))

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """features [B, D] and labels [B] to a scalar."""
        return (features - self.centers[labels]).pow(2).sum(1).mean()

    def undo_weight(self, weight: float) -> None:
        """Divide the centres' gradients by the weight of the loss, so that their learning rate is independent of it."""
        if self.centers.grad is not None:
            self.centers.grad.mul_(1 / weight)
