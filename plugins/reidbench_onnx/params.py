"""Parameters of onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from reidbench import Params
from reidbench.components import ContentHashed
from reidbench.words import DESCRIPTION, Labels, behind

OnnxFile = Annotated[Path, ContentHashed(folder=False, stand_in="reidbench_onnx.examples:stand_in")]


class OnnxParams(Params):
    """Parameters of onnx: images [batch, 3, height, width] to features [batch, D]."""

    file: OnnxFile = Field(description="ONNX file with the network and its weights")
    labels: Labels = Field(None, description=DESCRIPTION)
    mean: tuple[float, float, float] | None = Field(
        None, description="pixel mean of red, green, blue, for pixels in 0..1; default: the file's metadata"
    )
    std: tuple[float, float, float] | None = Field(None, description="pixel standard deviation; default as for mean")

    def supervision(self) -> frozenset[str]:
        """Return words for the protocol column."""
        return behind(self.file, self.labels)
