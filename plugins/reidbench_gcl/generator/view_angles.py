"""Second views: the angle of each image, and the body structure at that angle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from reidbench.errors import DataError

from ..structure.structure_maps import StructureMaps, to_tensor

LAST_OF_THE_CODE = 270  # the released code draws randint(1, 7) x 45: 315 is rendered, and never drawn


def allowed_angles(angles: Sequence[int], which: str) -> tuple[int, ...]:
    """Return the rendered angles that may be drawn: all (`all7`), or those up to 270 degrees (`code`).

    Raises DataError if none is left.
    """
    kept = tuple(angle for angle in angles if which == "all7" or angle <= LAST_OF_THE_CODE)
    if not kept:
        raise DataError(
            f"angles: {which} leaves none of the rendered angles {list(angles)}; set angles: all7, or render others"
        )
    return kept


def draw_angles(angles: Sequence[int], count: int, generator: torch.Generator) -> np.ndarray:
    """Draw one angle in degrees for each of `count` images, uniformly."""
    drawn = torch.randint(len(angles), (count,), generator=generator)
    found: np.ndarray = np.array(angles)[drawn.numpy()]
    return found


class Structures:
    """The structure maps of the training images: as seen, and for the second view of a batch.

    `views`: "generated" turns the image's own body, "identity" does not turn it, "random" turns another image's body.
    """

    def __init__(self, structure_maps: StructureMaps, rows: np.ndarray, views: str, angles: str) -> None:
        """`rows` [N] are the training images in `structure_maps`. Raises DataError for angles that are not rendered."""
        self.structure_maps = structure_maps
        self.rows = rows
        self.views = views
        self.angles = allowed_angles(structure_maps.angles, angles)

    def seen(self, indices: np.ndarray) -> torch.Tensor:
        """Return s_ori [B, 1, H, W] of training images [B]."""
        return self.at(indices, np.zeros(len(indices), dtype=np.int64))

    def at(self, indices: np.ndarray, angles: np.ndarray) -> torch.Tensor:
        """Return [B, 1, H, W]: the bodies of training images [B], each turned by its angle [B] in degrees."""
        columns = [self.structure_maps.column(int(angle)) for angle in angles]
        return to_tensor(self.structure_maps.maps[self.rows[indices], columns])

    def draw(self, indices: np.ndarray, streams: dict[str, torch.Generator]) -> tuple[torch.Tensor, np.ndarray]:
        """Draw (s_new [B, 1, H, W], angles [B]) of a batch; `streams` holds "angles" and "strangers"."""
        if self.views == "identity":
            return self.seen(indices), np.zeros(len(indices), dtype=np.int64)
        angles = draw_angles(self.angles, len(indices), streams["angles"])
        bodies = indices
        if self.views == "random":
            steps = torch.randint(1, len(self.rows), (len(indices),), generator=streams["strangers"])
            bodies = (indices + steps.numpy()) % len(self.rows)  # any image other than itself
        return self.at(bodies, angles), angles
