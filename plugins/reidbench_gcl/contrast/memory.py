"""The memory bank: one row per image, its clustering, and the sampling of positives and negatives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from reidbench.metrics import dbscan, jaccard_graph

RADIUS = 1 - 1e-6  # pairs without a common neighbour are at 1, and not stored
EQUAL = 1e-5  # rows with the same neighbours are at 0; float32 rounds that to up to a few 1e-6
OUTLIER = -1


class MemoryBank(nn.Module):
    """rows [N, D] of unit length, one per training image, and the pseudo label [N] of each, -1 for outliers.

    Holds only original images, never generated ones (Chen et al., CVPR 2021, released code).
    """

    rows: torch.Tensor
    labels: torch.Tensor

    def __init__(self, count: int, dim: int, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.register_buffer("rows", torch.zeros(count, dim))
        self.register_buffer("labels", torch.full((count,), OUTLIER))

    @torch.no_grad()
    def fill(self, features: torch.Tensor) -> None:
        """Replace all rows with normalised features [N, D]."""
        self.rows.copy_(F.normalize(features.float(), dim=1))

    @torch.no_grad()
    def update(self, indices: torch.Tensor, features: torch.Tensor) -> None:
        """M[i] <- normalise(alpha M[i] + (1 - alpha) f), f [B, D] normalised; other rows do not change."""
        unit = F.normalize(features.float(), dim=1)
        self.rows[indices] = F.normalize(self.alpha * self.rows[indices] + (1 - self.alpha) * unit, dim=1)

    def relabel(self, *, k1: int, k2: int, rho: float, min_samples: int) -> float:
        """Assign new pseudo labels from the rows only; return the eps of this clustering."""
        labels, eps = cluster_rows(self.rows.cpu().numpy(), k1, k2, rho, min_samples)
        self.labels.copy_(torch.from_numpy(labels))
        return eps


def cluster_rows(rows: np.ndarray, k1: int, k2: int, rho: float, min_samples: int) -> tuple[np.ndarray, float]:
    """Return ([N] labels, -1 for outliers; eps): DBSCAN on Jaccard distances, with an eps computed from them."""
    graph = jaccard_graph(rows, k1, k2, RADIUS)
    eps = adaptive_eps(graph, rho)
    return dbscan(graph, eps, min_samples), eps


def adaptive_eps(graph: Any, rho: float, far: float = 1.0) -> float:
    """Mean of the smallest round(rho n) of all n = N (N - 1) / 2 distances between two rows, including those at 0.

    graph: [N, N] CSR of symmetric distances; pairs that are not stored are at `far` and count among the n. Such a mean
    changes no more than the distances themselves, and n is constant, so rounding cannot move eps. The released code
    omits pairs at exactly 0, and rounding decides which pairs with equal neighbours those are. Never below the smallest
    distance above `EQUAL`, since DBSCAN does not accept an eps of 0.
    """
    from scipy.sparse import triu

    stored = np.sort(triu(graph, 1).tocoo().data.astype(np.float64))
    rows = graph.shape[0]
    pairs = rows * (rows - 1) // 2
    wanted = max(1, round(rho * pairs))
    nearest = stored[:wanted]
    mean = (nearest.sum() + far * (wanted - len(nearest))) / wanted
    apart = stored[stored > EQUAL]
    return float(max(mean, apart[0] if len(apart) else far))


class Pairs(NamedTuple):
    """Rows that a batch is compared with. mate, view_mate: [B] rows of the same cluster, drawn independently.

    others: [B, K'] rows of other clusters and outliers, K' at most K; valid: [B, K'] false where a row has fewer.
    """

    mate: torch.Tensor
    view_mate: torch.Tensor
    others: torch.Tensor
    valid: torch.Tensor


def draw_pairs(labels: torch.Tensor, indices: torch.Tensor, negatives: int, draws: dict[str, torch.Generator]) -> Pairs:
    """Draw positives and negatives of the images [B] among rows with labels [N], all on the CPU.

    `draws` holds the generators "mates", "view mates" and "negatives". Raises ValueError for an outlier in the batch.
    """
    anchors = labels[indices]
    if (anchors == OUTLIER).any():
        raise ValueError("an outlier has no cluster, so it cannot be in a batch")
    same = labels[None] == anchors[:, None]
    mate, view_mate = (
        torch.multinomial(same.float(), 1, generator=draws[name])[:, 0] for name in ("mates", "view mates")
    )
    return Pairs(mate, view_mate, *draw_negatives(~same, negatives, draws["negatives"]))


def draw_negatives(allowed: torch.Tensor, most: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(columns [B, K'], valid [B, K']): up to `most` random columns of each row of allowed [B, N]; all if fewer.

    K' is the largest number that a row has, at least 1; shorter rows end in columns that are not valid.
    """
    counts = allowed.sum(1).clamp_max(most)
    width = max(1, int(counts.max()))
    if int(allowed.sum(1).max()) <= most:
        columns = (~allowed).long().argsort(dim=1, stable=True)[:, :width]
    else:
        chance = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, 2.0)
        columns = chance.topk(width, dim=1, largest=False).indices
    return columns, torch.arange(width)[None] < counts[:, None]
