"""Parameters of torchreid."""

from __future__ import annotations

from pydantic import Field

from reidbench import FileParam
from reidbench.training.params import FileWeightsParams


class TorchreidParams(FileWeightsParams):
    """torchreid: a network by name."""

    model: str = Field(description="its name in torchreid: osnet_ain_x1_0, pcb_p6, mlfn, hacnn, ...")
    weights_file: FileParam | None = Field(
        None, description="a checkpoint of its zoo or of your own, classifier left out; default: random weights"
    )
