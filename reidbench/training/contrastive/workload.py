"""Number of training steps on a pool, computed in advance; torch-free."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench.components import Amount, Workload
from reidbench.training.batches.counts import shuffled_batches

from .params import ContrastiveParams

MOST = 1000  # held-out images: rank 1 among a thousand is accurate to about 3 points


def held_out(count: int, share: float) -> int:
    """Number of images held out for the monitor, of a pool of `count`."""
    return min(round(share * count), MOST)


def workload(params: ContrastiveParams, amounts: Mapping[str, Amount]) -> Workload:
    """Full batches of the remaining pool; each image is read once per epoch, for any number of views."""
    images = amounts["pool"].images
    seen = images - held_out(images, params.held_out)
    return Workload(params.epochs * shuffled_batches(seen, params.batch), params.batch)
