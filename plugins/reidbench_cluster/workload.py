"""Steps and images of a training at full scale, for `reidbench rehearse`, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .params import AdaBNParams, LoopParams, SpCLParams


def rounds(params: LoopParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the steps of all rounds, which do not depend on the data; training on a source doubles the images."""
    domains = 2 if isinstance(params, SpCLParams) and params.use_source and "source" in amounts else 1
    return Workload(params.rounds * params.iterations, domains * params.identities * params.images)


def adabn(params: AdaBNParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the whole batches that statistics are computed from, without optimiser steps and gradients."""
    images = amounts["target"].images
    batch = min(params.batch, images)
    return Workload(params.passes * (images // batch), batch)
