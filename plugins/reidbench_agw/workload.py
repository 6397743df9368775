"""Steps and images of agw at full scale, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload
from reidbench.training.batches.counts import identity_batches

from .params import AgwParams


def workload(params: AgwParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the passes of BoT's sampler over the source; `identity_batches` describes the estimate."""
    source = amounts["source"]
    together = min(params.identities, source.identities or params.identities)
    batches = identity_batches(source.images, source.identities, together, params.images)
    return Workload(params.epochs * batches, together * params.images)
