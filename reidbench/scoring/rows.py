"""Features with one row an image: a table, or features beside the names of their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How parts are called, as folders and in tables.
PART_OF = {
    "query": "query",
    "probe": "query",
    "gallery": "gallery",
    "bounding_box_test": "gallery",
    "train": "train",
    "bounding_box_train": "train",
}


@dataclass(frozen=True)
class Rows:
    """Features [N, D]; the part (query, gallery, or "" for none), pid and camid of each row.

    pids, camids and train_pids are numbers or texts; without cameras camids is None. train_pids are those of the
    training part, where the source has one. `images` number the pictures, where one may be in both parts. `warnings`
    say what was left out. `more` has labels beyond identity of each row, numbers or texts, "" where unknown.
    """

    features: NDArray[Any]
    parts: Sequence[str]
    pids: Sequence[Any]
    camids: Sequence[Any] | None
    train_pids: Sequence[Any] = ()
    warnings: tuple[str, ...] = ()
    images: Sequence[int] | None = None
    more: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def of(self, part: str) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any] | None]:
        """Rows of a part, their pids and camids."""
        where = np.array([number for number, name in enumerate(self.parts) if name == part], np.intp)
        camids = None if self.camids is None else np.array([self.camids[row] for row in where])
        return where, np.array([self.pids[row] for row in where]), camids
