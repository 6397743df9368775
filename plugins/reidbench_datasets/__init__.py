"""Readers for data sets on disk: Market-1501-style folders and CSV manifests."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from reidbench import Component, Params, hookimpl


class FolderParams(Params):
    """A Market-1501-style folder."""

    strict: bool = Field(
        False, description="refuse a folder with files whose names do not match, instead of naming them"
    )


class Market1501Params(FolderParams):
    """The Market-1501 release."""


class ManifestParams(Params):
    """A CSV manifest."""

    images: str = Field("", description="folder that the paths start from, relative to the manifest; default: its own")


@hookimpl
def reidbench_datasets() -> Iterator[Component]:
    """Data sets of this plugin."""
    yield Component(
        "market1501",
        "reidbench_datasets.market:open_market1501",
        Market1501Params,
        summary="Market-1501: bounding_box_train, query, bounding_box_test; six cameras, strict file names",
        requires=frozenset({"root"}),
        fingerprint="reidbench_datasets.market:fingerprint",
    )
    yield Component(
        "market-folder",
        "reidbench_datasets.market:open_folder",
        FolderParams,
        summary="any folder in the Market-1501 layout (0002_c1s1_000451_03.jpg and its relatives)",
        requires=frozenset({"root"}),
        fingerprint="reidbench_datasets.market:fingerprint",
    )
    yield Component(
        "csv-manifest",
        "reidbench_datasets.manifest:open_manifest",
        ManifestParams,
        summary="a CSV file path,pid,camid,split[,domain,time], one line an image",
        requires=frozenset({"root"}),
        fingerprint="reidbench_datasets.manifest:fingerprint",
    )
