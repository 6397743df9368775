"""What a matrix file may say about a synthetic data set."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from reidbench import Params

from .worlds import WORLDS, SizeName, WorldName


class SyntheticParams(Params):
    """Which rendered persons: world, size and seed decide every pixel."""

    world: WorldName = Field(
        "plaza",
        description="plaza (summer), station (winter), arcade (autumn evening), or a pool of all three: crowd, where a "
        "tenth shows nobody, or mixed, where half does not; wardrobe (persons change clothes), nightfall (infrared "
        "cameras at night) and footage (tracklets) have labels beyond identity",
    )
    size: SizeName = Field("small", description="tiny (seconds), small, medium or full (minutes to render)")
    seed: int = Field(0, ge=0, lt=2**32, description="another seed gives other persons, cameras and scenes")
    structure: bool = Field(False, description="also write structure maps, at eight angles, into the folder")

    def offered(self) -> frozenset[str]:
        """The renderer's truth, and the labels beyond identity of some worlds."""
        return frozenset({"truth"}) | WORLDS[self.world].labels

    def lacking(self, root: Path | None) -> frozenset[str]:
        """A pool is for training only."""
        return frozenset({"test"}) if WORLDS[self.world].pool else frozenset()
