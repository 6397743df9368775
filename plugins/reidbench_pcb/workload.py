"""Steps and images of pcb at full scale, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload
from reidbench.training.batches.counts import shuffled_batches

from .params import PcbParams


def workload(params: PcbParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return passes over the source in whole batches, with uniform stripes and refined."""
    images = amounts["source"].images
    return Workload(params.passes * shuffled_batches(images, params.batch), min(params.batch, images))
