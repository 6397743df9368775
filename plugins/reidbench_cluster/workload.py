"""Steps and images of a training at full scale, for `reidbench rehearse`; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload

from .params import LoopParams, SpCLParams


def rounds(params: LoopParams, amounts: Mapping[str, Amount]) -> Workload:
    """As many steps in each round, whatever the data are; a source that is learned beside the target doubles them."""
    domains = 2 if isinstance(params, SpCLParams) and params.use_source and "source" in amounts else 1
    return Workload(params.rounds * params.iterations, domains * params.identities * params.images)
