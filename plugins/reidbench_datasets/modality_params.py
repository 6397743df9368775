"""What a matrix file may say about SYSU-MM01, RegDB and MARS."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .params import CheckedParams


class SysuParams(CheckedParams):
    """SYSU-MM01."""

    train: Literal["train", "trainval"] = Field(
        "trainval", description="trainval: the 395 persons that papers train on; train: without the 99 of val_id.txt"
    )


class RegdbParams(CheckedParams):
    """RegDB: ten published splits, each of 206 persons for training and 206 for the test."""

    split: int = Field(1, ge=1, le=10, description="which of the ten splits; published numbers are means over all")
    query: Literal["visible", "thermal"] = Field(
        "visible", description="the modality of the queries; the gallery has the other"
    )


class MarsParams(CheckedParams):
    """MARS."""

    frames: int | None = Field(
        None, ge=1, description="at most so many evenly spread frames of each tracklet; default: all"
    )
    gallery: Literal["all", "others"] = Field(
        "all",
        description="all: every test tracklet, the queries too, as the authors evaluate; others: without the queries, "
        "so that 140 of these have no match",
    )
