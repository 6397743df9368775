"""Steps and images of two-stream at full scale; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .params import TwoStreamParams

MODALITIES = 2  # that a source is taken to have, with as many images each


def batches_of(most: int, identities: int, images: int) -> int:
    """Batches of an epoch where the larger modality has `most` images, for P identities and K images of each."""
    return most // (identities * images) + 1


def workload(params: TwoStreamParams, amounts: Mapping[str, Amount]) -> Workload:
    """Epochs over the larger modality; how many images that has is not known here, and taken to be half of all."""
    source = amounts["source"]
    together = min(params.identities, source.identities or params.identities)
    batches = batches_of(source.images // MODALITIES, together, params.images)
    return Workload(params.epochs * batches, MODALITIES * together * params.images)
