"""Steps and images of a training at full scale, for `reidbench rehearse`, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .classifiers.params import ClassifierParams, MMTParams
from .params import AdaBNParams, LoopParams, SpCLParams


def rounds(params: LoopParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the steps of all rounds, which do not depend on the data.

    Training on a source doubles the images, and so do MMT's two views.
    """
    joint = isinstance(params, SpCLParams | ClassifierParams) and params.use_source and "source" in amounts
    times = (2 if joint else 1) * (2 if isinstance(params, MMTParams) else 1)
    return Workload(params.rounds * params.iterations, times * params.identities * params.images)


def adabn(params: AdaBNParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the whole batches that statistics are computed from, without optimiser steps and gradients."""
    images = amounts["target"].images
    batch = min(params.batch, images)
    return Workload(params.passes * (images // batch), batch)
