"""Rendered persons: worlds of any size without a download, and with the truth that no real data set has."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import SyntheticParams


@hookimpl
def reidbench_datasets() -> Iterator[Component]:
    """One data set; its parameters choose among the worlds."""
    yield Component(
        "synthetic",
        "reidbench_synthetic.dataset:open_synthetic",
        SyntheticParams,
        version=1,
        summary="Rendered pedestrians in four sizes: plaza, station, arcade, pools, wardrobe, nightfall and footage.",
        fingerprint="reidbench_synthetic.dataset:fingerprint",
        capabilities=SyntheticParams.offered,
        lacks=SyntheticParams.lacking,
        rehearsal={"size": "tiny"},
    )
