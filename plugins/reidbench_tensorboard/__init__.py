"""Live TensorBoard runs of trainings, their parameters, and the results of their rows."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import TensorboardParams


@hookimpl
def reidbench_trackers() -> Iterator[Component]:
    """Yield the tracker that writes event files."""
    yield Component(
        "tensorboard",
        "reidbench_tensorboard.tracker:TensorboardTracker",
        TensorboardParams,
        summary="a TensorBoard run for each training: curves while it runs, parameters, and the results of its rows",
        packages=("tensorboard",),
        extra="tensorboard",
    )
