"""What a check brings along, so that it needs no plugin's data: folders of tiny pictures, and a network as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from reidbench.components import Component, Params
from reidbench.contexts import FinetuneContext
from reidbench.data import Dataset, FileNameRule, read_market_folder
from reidbench.data.folders import MARKET_LIKE

FOLDER = "check-folder"
UNTRAINED = "check-untrained"
NO_CAMERA = FileNameRule(r"(?P<pid>-1|[0-9]+)(_\w+)?")


class FolderParams(Params):
    """Parameters of the folders."""

    cameras: bool = Field(True, description="whether the names tell the cameras")

    def lacking(self, root: Path | None) -> frozenset[str]:
        """The cameras, where they are left out."""
        return frozenset() if self.cameras else frozenset({"cameras"})


def open_folder(params: FolderParams, root: Path, cache: Path) -> Dataset:
    """Read what `reidbench.testing.write_market_folder` wrote."""
    return read_market_folder(root, rule=MARKET_LIKE if params.cameras else NO_CAMERA)


def untrained(ctx: FinetuneContext[Params]) -> Any:
    """The backbone's vector as it is, for adapters to start from and evaluators to rank."""
    from reidbench.training import BackboneEmbedder, Preprocess

    backbone = ctx.backbone()
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size, backbone.mean, backbone.std))


COMPONENTS = {
    ("dataset", FOLDER): Component(FOLDER, f"{__name__}:open_folder", FolderParams, lacks=FolderParams.lacking),
    ("finetuner", UNTRAINED): Component(UNTRAINED, f"{__name__}:untrained", traits=frozenset({"label-free"})),
}
