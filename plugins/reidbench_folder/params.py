"""Parameters of folder."""

from __future__ import annotations

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from reidbench import FolderParam, Params
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.files.networkfolder import CONFIG, NetworkFolder, read_network
from reidbench.words import DESCRIPTION, UNKNOWN, Labels

LABELS: TypeAdapter[tuple[str, ...] | None] = TypeAdapter(Labels)


class FolderParams(Params):
    """Parameters of folder: where the network is."""

    path: FolderParam = Field(description="folder with config.json and model.safetensors")
    labels: Labels = Field(None, description=f"{DESCRIPTION}; default: as config.json declares")

    @model_validator(mode="after")
    def _can_be_read(self) -> FolderParams:
        """Read the folder with the matrix file, so that a wrong one is an error before anything runs."""
        try:
            labels = self.network.labels if self.network else None
        except ReidbenchError as error:
            raise ValueError(str(error)) from None
        try:
            LABELS.validate_python(labels and list(labels))
        except ValidationError:
            where = shown(self.path / CONFIG)
            raise ValueError(f"{where}: labels must be like 'Market-1501 labels'; correct them") from None
        return self

    @property
    def network(self) -> NetworkFolder | None:
        """The description in the folder; None for a missing folder, which the matrix file's reader reports."""
        return read_network(self.path) if self.path.is_dir() else None

    def capabilities(self) -> frozenset[str]:
        """Return the capabilities of the folder's backbone."""
        network = self.network
        return network.capabilities if network else frozenset()

    def supervision(self) -> frozenset[str]:
        """Return words for the protocol column: labels declared here, else in the folder."""
        network = self.network
        declared = network.labels if network and self.labels is None else self.labels
        return frozenset({UNKNOWN} if declared is None else declared)
