"""Steps and images of this plugin's trainings at full scale; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload
from reidbench.errors import DataError
from reidbench.training.batches.counts import identity_batches, once_batches

from .params import BdbParams, BotRecipe, MgnLupersonParams, MgnParams

Amounts = Mapping[str, Amount]


def bot(params: BotRecipe, amounts: Amounts) -> Workload:
    """Passes of BoT's sampler over the source; see `identity_batches` for what is estimated."""
    return _passes(params, amounts["source"], "bot")


def supervised(params: BotRecipe, amounts: Amounts) -> Workload:
    """The same over the auxiliary data."""
    return _passes(params, amounts["auxiliary"], "supervised")


def bdb(params: BdbParams, amounts: Amounts) -> Workload:
    """Each identity once in an epoch, whole batches alone. Raises DataError without a number of identities."""
    return _passes(params, amounts["source"], "bdb", least=params.identities)


def mgn(params: MgnParams, amounts: Amounts) -> Workload:
    """Each identity once in an epoch, the last batch too. Raises DataError without a number of identities."""
    return _passes(params, amounts["source"], "mgn", least=2 * params.accumulate)


def mgn_luperson(params: MgnLupersonParams, amounts: Amounts) -> Workload:
    """As many images in an epoch as the source has."""
    return Workload(params.epochs * params.steps(amounts["source"].images), params.identities * params.images)


def _passes(params: BotRecipe | BdbParams | MgnParams, amount: Amount, name: str, least: int = 2) -> Workload:
    together = min(params.identities, amount.identities or params.identities)
    if getattr(params, "passes", "images") == "images":
        batches = identity_batches(amount.images, amount.identities, together, params.images)
    elif amount.identities is None:
        raise DataError(f"an epoch of {name} has each identity once, and how many identities its source has is unknown")
    else:
        batches = once_batches(amount.identities, together, min(least, together))
    return Workload(params.epochs * batches, together * params.images)
