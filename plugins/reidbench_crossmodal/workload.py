"""Steps and images of two-stream at full scale, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .params import TwoStreamParams

MODALITIES = 2  # assumed for a source, with equal numbers of images


def batches_of(most: int, identities: int, images: int) -> int:
    """Return the batches of an epoch with `most` images in the larger modality, P identities and K images of each."""
    return most // (identities * images) + 1


def workload(params: TwoStreamParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return epochs over the larger modality; its number of images is unknown here and assumed to be half of all."""
    source = amounts["source"]
    together = min(params.identities, source.identities or params.identities)
    batches = batches_of(source.images // MODALITIES, together, params.images)
    return Workload(params.epochs * batches, MODALITIES * together * params.images)
