"""Second views: which angle each image gets, and the body's form at that angle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from reidbench.errors import DataError

from ..structure.structure_maps import StructureMaps, to_tensor

LAST_OF_THE_CODE = 270  # the released code draws randint(1, 7) x 45: 315 is rendered, and never drawn


def allowed_angles(angles: Sequence[int], which: str) -> tuple[int, ...]:
    """Of the rendered angles those that may be drawn: all (`all7`), or none beyond 270 degrees (`code`).

    Raises DataError when that leaves none.
    """
    kept = tuple(angle for angle in angles if which == "all7" or angle <= LAST_OF_THE_CODE)
    if not kept:
        raise DataError(f"angles: {which} leaves none of the rendered angles {list(angles)}")
    return kept


def draw_angles(angles: Sequence[int], count: int, generator: torch.Generator) -> np.ndarray:
    """One angle in degrees for each of `count` images, uniform: a new one at each fetch."""
    drawn = torch.randint(len(angles), (count,), generator=generator)
    found: np.ndarray = np.array(angles)[drawn.numpy()]
    return found


class Structures:
    """The structure maps of the training images: as seen, and as the second view of a batch asks for.

    `views`: "generated" turns the image's own body, "identity" leaves it as it is, "random" turns another image's.
    """

    def __init__(self, structure_maps: StructureMaps, rows: np.ndarray, views: str, angles: str) -> None:
        """rows [N]: of the training images in `structure_maps`. Raises DataError for angles that are not there."""
        self.structure_maps = structure_maps
        self.rows = rows
        self.views = views
        self.angles = allowed_angles(structure_maps.angles, angles)

    def seen(self, indices: np.ndarray) -> torch.Tensor:
        """s_ori [B, 1, H, W] of training images [B]."""
        return self.at(indices, np.zeros(len(indices), dtype=np.int64))

    def at(self, indices: np.ndarray, angles: np.ndarray) -> torch.Tensor:
        """[B, 1, H, W]: the bodies of training images [B], each turned by its angle [B] in degrees."""
        columns = [self.structure_maps.column(int(angle)) for angle in angles]
        return to_tensor(self.structure_maps.maps[self.rows[indices], columns])

    def draw(self, indices: np.ndarray, streams: dict[str, torch.Generator]) -> tuple[torch.Tensor, np.ndarray]:
        """(s_new [B, 1, H, W], angles [B]) of a batch; `streams` holds "angles" and "strangers"."""
        if self.views == "identity":
            return self.seen(indices), np.zeros(len(indices), dtype=np.int64)
        angles = draw_angles(self.angles, len(indices), streams["angles"])
        bodies = indices
        if self.views == "random":
            steps = torch.randint(1, len(self.rows), (len(indices),), generator=streams["strangers"])
            bodies = (indices + steps.numpy()) % len(self.rows)  # any image but its own
        return self.at(bodies, angles), angles
