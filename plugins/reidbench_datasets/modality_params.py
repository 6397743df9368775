"""Parameters of SYSU-MM01, RegDB and MARS."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .params import CheckedParams


class SysuParams(CheckedParams):
    """Parameters of SYSU-MM01."""

    train: Literal["train", "trainval"] = Field(
        "trainval", description="trainval: the 395 persons that papers train on; train: without the 99 of val_id.txt"
    )


class RegdbParams(CheckedParams):
    """Parameters of RegDB: ten published splits, each of 206 persons for training and 206 for the test."""

    split: int = Field(1, ge=1, le=10, description="number of the split, 1 to 10; published numbers are means over all")
    query: Literal["visible", "thermal"] = Field(
        "visible", description="modality of the queries; the gallery has the other"
    )


class MarsParams(CheckedParams):
    """Parameters of MARS."""

    frames: int | None = Field(
        None, ge=1, description="maximum number of evenly spread frames per tracklet; default: all frames"
    )
    gallery: Literal["all", "others"] = Field(
        "all",
        description="all: every test tracklet, including the queries, as the authors evaluate; others: without the "
        "queries, so that 140 of them have no match",
    )
