"""Steps and images of a training run at full scale, for `reidbench rehearse`; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .params import DinoParams
from .transreid_params import TransReidParams

MOST_HELD_OUT = 1000


def dino(params: DinoParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return full batches of the pool without the held-out images; each image is read once per epoch."""
    images = amounts["pool"].images
    seen = images - min(round(params.held_out * images), MOST_HELD_OUT)
    return Workload(params.epochs * (seen // params.batch), params.batch)


def transreid(params: TransReidParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return passes of the identity sampler over the source, as if all identities had the same number of images.

    If the numbers differ, a pass ends a few steps earlier or later. Without a number of identities each image counts
    once.
    """
    source = amounts["source"]
    identities, size = params.identities, params.images
    groups = source.images // size
    if source.identities:
        groups = source.identities * max(1, source.images // source.identities // size)
        identities = min(identities, source.identities)
    return Workload(params.epochs * max(1, groups // identities), identities * size)
