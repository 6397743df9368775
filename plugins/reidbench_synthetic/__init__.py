"""Rendered persons: worlds of any size without a download, with ground truth that real data sets lack."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import SyntheticParams


@hookimpl
def reidbench_datasets() -> Iterator[Component]:
    """Yield the data set; its parameters select the world."""
    yield Component(
        "synthetic",
        "reidbench_synthetic.dataset:open_synthetic",
        SyntheticParams,
        version=1,
        summary="rendered persons in four sizes and ten worlds: seasons, pools, clothes, infrared, tracklets",
        fingerprint="reidbench_synthetic.dataset:fingerprint",
        capabilities=SyntheticParams.offered,
        lacks=SyntheticParams.lacking,
        rehearsal={"size": "tiny"},
    )
