"""Parameters of the synthetic data set."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from reidbench import Params

from .worlds import WORLDS, SizeName, WorldName


class SyntheticParams(Params):
    """Parameters of rendered persons: world, size and seed determine every pixel."""

    world: WorldName = Field(
        "plaza",
        description="plaza (summer), station (winter), arcade (autumn evening), or a pool of all three: crowd, with a "
        "tenth of images without a person, or mixed, with half; wardrobe (persons change clothes), nightfall (infrared "
        "cameras at night) and footage (tracklets) have labels beyond identity; avenue (summer) and terminal "
        "(winter) have similar cameras, walks in all directions and more persons",
    )
    size: SizeName = Field(
        "small", description="number and size of the images: tiny (seconds) to full (minutes to render)"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the persons, cameras and scenes")
    structure: bool = Field(False, description="also write structure maps, at eight angles, into the folder")

    def offered(self) -> frozenset[str]:
        """Return the renderer's truth, and some worlds' labels beyond identity."""
        return frozenset({"truth"}) | WORLDS[self.world].labels

    def lacking(self, root: Path | None) -> frozenset[str]:
        """Return the labels that a pool lacks, since it is for training only."""
        return frozenset({"test"}) if WORLDS[self.world].pool else frozenset()
