"""Steps and images of a training run at full scale, for `reidbench rehearse`; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .composition import Composition
from .params import HHLParams, StarGanParams


def hhl(params: HHLParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return passes of the classification batches over the source, with a style for each known camera of the target."""
    rows = Composition.of(params, amounts["target"].cameras or 0)
    images = rows.classified + rows.identities * rows.images + rows.real * (1 + rows.fakes)
    return Workload(params.epochs * (amounts["source"].images // rows.classified), images)


def stargan(params: StarGanParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return steps of the discriminator, with one generator step every `critic_steps` steps."""
    steps = params.steps or params.epochs * (amounts["target"].images // params.batch)
    return Workload(steps, params.batch)
