"""Steps of a training on a pool, before it runs; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench.components import Amount, Workload
from reidbench.training.batches.counts import shuffled_batches

from .params import ContrastiveParams

MOST = 1000  # held-out images: rank 1 among a thousand is known to about 3 points


def held_out(count: int, share: float) -> int:
    """Images that only a monitor sees, of a pool of `count`."""
    return min(round(share * count), MOST)


def workload(params: ContrastiveParams, amounts: Mapping[str, Amount]) -> Workload:
    """Whole batches of what is left of the pool; each image is read once in an epoch, however many views it gives."""
    images = amounts["pool"].images
    seen = images - held_out(images, params.held_out)
    return Workload(params.epochs * shuffled_batches(seen, params.batch), params.batch)
