"""Steps and images of a training at full scale, for `reidbench rehearse`; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .composition import Composition
from .params import HHLParams, StarGanParams


def hhl(params: HHLParams, amounts: Mapping[str, Amount]) -> Workload:
    """Passes of the classification batches over the source; a style for each camera of the target that is known."""
    rows = Composition.of(params, amounts["target"].cameras or 0)
    images = rows.classified + rows.identities * rows.images + rows.real * (1 + rows.fakes)
    return Workload(params.epochs * (amounts["source"].images // rows.classified), images)


def stargan(params: StarGanParams, amounts: Mapping[str, Amount]) -> Workload:
    """Steps of the discriminator; the generator takes one for every `critic_steps` of them."""
    steps = params.steps or params.epochs * (amounts["target"].images // params.batch)
    return Workload(steps, params.batch)
