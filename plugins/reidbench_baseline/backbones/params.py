"""Parameters of the networks in this folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reidbench.training.params import FileWeightsParams
from reidbench_baseline.params import ResNetParams


class OsNetParams(FileWeightsParams):
    """Parameters of osnet-x1-0 and osnet-x0-25."""

    head: bool = Field(
        True,
        description="append the published layer of 512 numbers (linear, batch norm, ReLU) after the pooling, which "
        "leaves a map of one cell; false: return the pooled map",
    )


class SeIbnParams(FileWeightsParams):
    """Parameters of se-resnet50-ibn-a and se-resnet101-ibn-a."""

    last_stride: Literal[1, 2] = Field(1, description="stride of the last stage; 1 doubles its map")


class MobileNetParams(ResNetParams):
    """Parameters of mobilenet-v2."""

    last_stride: Literal[1, 2] = Field(2, description="stride of the last strided stage; 1 doubles its map")
