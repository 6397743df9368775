"""Parameters of the networks in this folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidbench import FileParam, Params
from reidbench.words import DESCRIPTION, Labels, behind, require_file
from reidbench_baseline.params import ResNetParams


class FileWeightsParams(Params):
    """A network whose weights come from a file, or are random."""

    weights_file: FileParam | None = Field(
        None, description="a local checkpoint (.pth, .tar or .safetensors) with the official names; default: random"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="after")
    def _labels_of_a_file(self) -> FileWeightsParams:
        require_file(self.weights_file, self.labels, "weights_file")
        return self

    def traits(self) -> frozenset[str]:
        """A file fills the whole network, so that nothing of it is drawn."""
        return frozenset({"seedless"} if self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.weights_file, self.labels)


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
