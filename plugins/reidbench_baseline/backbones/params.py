"""Parameters of the networks in this folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reidbench.training.params import FileWeightsParams
from reidbench_baseline.params import ResNetParams


class OsNetParams(FileWeightsParams):
    """osnet-x1-0 and osnet-x0-25."""

    head: bool = Field(
        True,
        description="end in the published layer of 512 numbers (linear, batch norm, ReLU) behind the pooling, which "
        "leaves a map of one cell; false: the pooled map",
    )


class SeIbnParams(FileWeightsParams):
    """se-resnet50-ibn-a and se-resnet101-ibn-a."""

    last_stride: Literal[1, 2] = Field(1, description="stride of the last stage; 1 doubles its map")


class MobileNetParams(ResNetParams):
    """mobilenet-v2."""

    last_stride: Literal[1, 2] = Field(2, description="stride of the last stage that has one; 1 doubles its map")
