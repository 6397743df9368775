"""Parameters of torchreid."""

from __future__ import annotations

from pydantic import Field

from reidbench import FileParam
from reidbench.training.params import FileWeightsParams


class TorchreidParams(FileWeightsParams):
    """Parameters of torchreid: a network by name."""

    model: str = Field(description="torchreid model name: osnet_ain_x1_0, pcb_p6, mlfn, hacnn, ...")
    weights_file: FileParam | None = Field(
        None, description="checkpoint of its zoo or a local one; the classifier is ignored; default: random weights"
    )
