"""Steps and images of the system's trainings at full scale, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload
from reidbench.training.batches.counts import identity_batches

from .params import CompetitionRecipe, JointParams


def competition(params: CompetitionRecipe, amounts: Mapping[str, Amount]) -> Workload:
    """Return the passes of the identity sampler over the source, with the expected share of doubled images."""
    return _passes(params, amounts["source"])


def joint(params: JointParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return the same over source and target together, assuming that each target image has a cluster.

    The number of clusters is unknown: they are assumed to have the size of the source's identities.
    """
    source, target = amounts["source"], amounts["target"]
    identities = source.identities
    if identities is not None:
        identities += round(target.images * identities / source.images)
    return _passes(params, Amount(source.images + target.images, identities))


def _passes(params: CompetitionRecipe, amount: Amount) -> Workload:
    """Return the passes; identities below `double_below` images on average are doubled with `double_probability`."""
    images, identities = amount.images, amount.identities
    small = images < params.double_below * (identities or images)
    drawn = round(images * (1 + params.double_probability)) if small else images
    together = min(params.identities, identities or params.identities)
    batches = identity_batches(drawn, identities, together, params.images)
    return Workload(params.epochs * batches, together * params.images)
