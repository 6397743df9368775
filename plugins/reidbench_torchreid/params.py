"""Parameters of torchreid."""

from __future__ import annotations

from pydantic import Field, model_validator

from reidbench import FileParam, Params
from reidbench.words import DESCRIPTION, Labels, behind, require_file


class TorchreidParams(Params):
    """torchreid: a network by name."""

    model: str = Field(description="its name in torchreid: osnet_ain_x1_0, pcb_p6, mlfn, hacnn, ...")
    weights_file: FileParam | None = Field(
        None, description="a checkpoint of its zoo or of your own, classifier left out; default: random weights"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="after")
    def _labels_of_a_file(self) -> TorchreidParams:
        require_file(self.weights_file, self.labels, "weights_file")
        return self

    def traits(self) -> frozenset[str]:
        """A file fills the whole network, so that nothing of it is drawn."""
        return frozenset({"seedless"} if self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.weights_file, self.labels)
