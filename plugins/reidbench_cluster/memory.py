"""Memories: one row per cluster (Cluster Contrast), or per source class and target image (SpCL)."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn


class _ClusterProducts(torch.autograd.Function):
    """f M^T; backward also updates the rows of the batch's clusters, so without backward nothing is updated."""

    @staticmethod
    def forward(
        ctx: Any, features: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor, momentum: float, update: str
    ) -> torch.Tensor:
        ctx.momentum, ctx.update, ctx.rows = momentum, update, rows
        ctx.save_for_backward(features, labels)
        return features @ rows.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        features, labels = ctx.saved_tensors
        answer = gradient @ ctx.rows  # before the rows are updated
        update_clusters(ctx.rows, features, labels, ctx.momentum, ctx.update)
        return answer, None, None, None, None


@torch.no_grad()
def update_clusters(
    rows: torch.Tensor, features: torch.Tensor, labels: torch.Tensor, momentum: float, update: str
) -> None:
    """Update the rows [C, D] of the clusters in a batch, in place.

    ``cm`` updates a row once for each image of its cluster (`move_in_order`). The others update it once, towards the
    mean of the cluster's features (``mean``) or the feature with the lowest cosine to the row (``hard``).
    """
    if update == "cm":
        move_in_order(rows, features, labels, momentum)
        return
    for label in torch.unique(labels):
        members = features[labels == label]
        chosen = members.mean(0) if update == "mean" else members[(members @ rows[label]).argmin()]
        rows[label] = F.normalize(momentum * rows[label] + (1 - momentum) * chosen, dim=0)


@torch.no_grad()
def move_in_order(rows: torch.Tensor, features: torch.Tensor, places: torch.Tensor, momentum: float) -> None:
    """For each image in order: row <- normalised(momentum x row + (1 - momentum) x feature), in place."""
    for feature, place in zip(features, places.tolist(), strict=True):
        rows[place] = F.normalize(momentum * rows[place] + (1 - momentum) * feature, dim=0)


class ClusterMemory(nn.Module):
    """Softmax over cluster centroids; rows are the normalised means of the clusters' features (Dai et al., 2022)."""

    rows: torch.Tensor

    def __init__(
        self,
        features: torch.Tensor,
        labels: torch.Tensor,
        *,
        temperature: float = 0.05,
        momentum: float = 0.1,
        update: Literal["cm", "hard", "mean"] = "cm",
    ) -> None:
        """Build the rows from unit features [N, D] and labels [N]; outliers (-1) have no row."""
        super().__init__()
        self.temperature, self.momentum, self.update = temperature, momentum, update
        self.register_buffer("rows", class_means(features[labels >= 0], labels[labels >= 0]))

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute a scalar loss from unit features [B, D] and their clusters [B]; backward updates the rows."""
        apply: Any = _ClusterProducts.apply
        products = apply(features, labels, self.rows, self.momentum, self.update)
        return F.cross_entropy(products / self.temperature, labels)


def class_means(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the normalised mean feature [C, D] of each class 0..C-1."""
    sums = features.new_zeros(int(labels.max()) + 1, features.shape[1])
    sums.index_add_(0, labels, features)
    return F.normalize(sums / torch.bincount(labels)[:, None], dim=1)


class _InstanceProducts(torch.autograd.Function):
    """f V^T; backward also updates the rows of the batch, one image after the other."""

    @staticmethod
    def forward(
        ctx: Any, features: torch.Tensor, places: torch.Tensor, rows: torch.Tensor, momentum: float
    ) -> torch.Tensor:
        ctx.momentum, ctx.rows = momentum, rows
        ctx.save_for_backward(features, places)
        return features @ rows.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        features, places = ctx.saved_tensors
        answer = gradient @ ctx.rows
        move_in_order(ctx.rows, features, places, ctx.momentum)
        return answer, None, None, None


class HybridMemory(nn.Module):
    """SpCL's memory: a row per source class and per target image; `labels` assign rows to classes.

    The similarity to a class is the mean over its rows: a cluster's centroid is the plain mean of its instances,
    without another normalisation, and an un-clustered image is a class of one row (Ge et al., 2020, eq. 2).
    """

    rows: torch.Tensor
    labels: torch.Tensor

    def __init__(self, rows: torch.Tensor, *, temperature: float = 0.05, momentum: float = 0.2) -> None:
        super().__init__()
        self.temperature, self.momentum = temperature, momentum
        self.register_buffer("rows", F.normalize(rows.float(), dim=1))
        self.register_buffer("labels", torch.arange(len(rows)))

    def forward(self, features: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Compute a scalar loss from unit features [B, D] and their memory rows [B]."""
        apply: Any = _InstanceProducts.apply
        products: torch.Tensor = apply(features.float(), places, self.rows, self.momentum) / self.temperature
        classes = int(self.labels.max()) + 1
        sums = torch.zeros(classes, len(features), device=features.device).index_add(0, self.labels, products.t())
        sizes = torch.bincount(self.labels, minlength=classes)[:, None]
        logits = (sums / sizes.clamp_min(1)).t()
        # The maximum is not subtracted, and exp(20) is near the limit of half precision, so this runs in float32.
        weights = logits.exp() * (sizes.t() > 0)
        share = weights / (weights.sum(1, keepdim=True) + 1e-6)
        return F.nll_loss((share + 1e-6).log(), self.labels[places])
