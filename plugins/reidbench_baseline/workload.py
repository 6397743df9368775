"""Steps and images of this plugin's trainings at full scale, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload
from reidbench.errors import DataError
from reidbench.training.batches.counts import identity_batches, once_batches

from .params import BdbParams, BotRecipe, MgnLupersonParams, MgnParams

Amounts = Mapping[str, Amount]


def bot(params: BotRecipe, amounts: Amounts) -> Workload:
    """Return the passes of BoT's sampler over the source; `identity_batches` describes the estimate."""
    return _passes(params, amounts["source"], "bot")


def supervised(params: BotRecipe, amounts: Amounts) -> Workload:
    """Return the same over the auxiliary data."""
    return _passes(params, amounts["auxiliary"], "supervised")


def bdb(params: BdbParams, amounts: Amounts) -> Workload:
    """Return epochs with each identity once, in whole batches. Raises DataError without a number of identities."""
    return _passes(params, amounts["source"], "bdb", least=params.identities)


def mgn(params: MgnParams, amounts: Amounts) -> Workload:
    """Return epochs with each identity once, last batch included. Raises DataError without a number of identities."""
    return _passes(params, amounts["source"], "mgn", least=2 * params.accumulate)


def mgn_luperson(params: MgnLupersonParams, amounts: Amounts) -> Workload:
    """Return epochs with as many images as the source has."""
    return Workload(params.epochs * params.steps(amounts["source"].images), params.identities * params.images)


def _passes(params: BotRecipe | BdbParams | MgnParams, amount: Amount, name: str, least: int = 2) -> Workload:
    together = min(params.identities, amount.identities or params.identities)
    if getattr(params, "passes", "images") == "images":
        batches = identity_batches(amount.images, amount.identities, together, params.images)
    elif amount.identities is None:
        raise DataError(f"an epoch of {name} has each identity once, but its source's number of identities is unknown")
    else:
        batches = once_batches(amount.identities, together, min(least, together))
    return Workload(params.epochs * batches, together * params.images)
