"""Weights & Biases runs of trainings, in a group for their matrix file."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import WandbParams


@hookimpl
def reidbench_trackers() -> Iterator[Component]:
    """Yield the tracker that writes Weights & Biases runs."""
    yield Component(
        "wandb",
        "reidbench_wandb.tracker:WandbTracker",
        WandbParams,
        summary="a Weights & Biases run for each training, in a group for the matrix file: curves, config, results",
        packages=("wandb",),
        extra="wandb",
    )
