"""Monitor for pre-training: retrieve another view of held-out pool images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from reidbench.training.random import stream

from .workload import held_out


def hold_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices for training, and sorted indices for the monitor only."""
    order = torch.randperm(count, generator=stream(seed, "held out")).numpy()
    held = held_out(count, share)
    return np.sort(order[held:]), np.sort(order[:held])


def retrieval(
    firsts: torch.Tensor, seconds: torch.Tensor, project: Callable[[torch.Tensor], torch.Tensor]
) -> dict[str, float]:
    """Retrieval accuracy of backbone vectors [N, D] of two views of each held-out image; chance is 1 / N.

    Rank 1 of finding the second view among all second views: by the projections (`retrieval`) and by the vectors
    (`retrieval_backbone`).
    """
    return {
        "retrieval": rank_1(project(firsts), project(seconds)),
        "retrieval_backbone": rank_1(firsts, seconds),
        "held_out_images": float(len(firsts)),
    }


def rank_1(queries: torch.Tensor, gallery: torch.Tensor) -> float:
    """Share of queries [N, D] whose most similar gallery row, by cosine, has the same index."""
    nearest = (F.normalize(queries.float(), dim=1) @ F.normalize(gallery.float(), dim=1).t()).argmax(1)
    return float((nearest == torch.arange(len(queries), device=nearest.device)).double().mean())
