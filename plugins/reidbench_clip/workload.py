"""Steps and images of clip-reid at full scale, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload
from reidbench.training.batches.counts import identity_batches

from .params import ClipReidParams


def workload(params: ClipReidParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the steps of both stages; those of the first read features, and count as batches of images here."""
    source = amounts["source"]
    texts = params.prompt_epochs * -(-source.images // params.prompt_batch)
    together = min(params.identities, source.identities or params.identities)
    batches = identity_batches(source.images, source.identities, params.identities, params.images)
    return Workload(texts + params.epochs * batches, together * params.images)
