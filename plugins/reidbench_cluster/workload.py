"""Steps and images of a training at full scale, for `reidbench rehearse`; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .params import AdaBNParams, LoopParams, SpCLParams


def rounds(params: LoopParams, amounts: Mapping[str, Amount]) -> Workload:
    """As many steps in each round, whatever the data are; a source that is learned beside the target doubles them."""
    domains = 2 if isinstance(params, SpCLParams) and params.use_source and "source" in amounts else 1
    return Workload(params.rounds * params.iterations, domains * params.identities * params.images)


def adabn(params: AdaBNParams, amounts: Mapping[str, Amount]) -> Workload:
    """Whole batches that statistics are taken of; no step of an optimiser, and no gradient."""
    images = amounts["target"].images
    batch = min(params.batch, images)
    return Workload(params.passes * (images // batch), batch)
