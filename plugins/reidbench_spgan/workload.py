"""Steps and images of a training run at full scale, for `reidbench rehearse`; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping

from reidbench import Amount, Workload
from reidbench.training.batches.counts import shuffled_batches

from .params import CycleGanParams, SpganTrainingParams


def translation(params: CycleGanParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return steps of all networks, each with a batch of both domains."""
    smaller = min(amounts[role].images for role in ("source", "target"))
    return Workload(params.steps or params.epochs * (smaller // params.batch), 2 * params.batch)


def training(params: SpganTrainingParams, amounts: Mapping[str, Amount]) -> Workload:
    """Return passes over the translated source in whole batches."""
    images = amounts["source"].images
    return Workload(params.epochs * shuffled_batches(images, params.batch), min(params.batch, images))
