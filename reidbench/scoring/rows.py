"""Features with one row per image: a table, or features with image names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Names of parts, as folders and in tables.
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

    pids, camids and train_pids are numbers or strings; without cameras camids is None. train_pids are those of the
    training part, if the source has one. `images` are image numbers, if an image may be in both parts. `warnings`
    report skipped images. `more` has labels beyond identity of each row, numbers or strings, "" if unknown.
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
        """Return the rows of a part, their pids and camids."""
        where = np.array([number for number, name in enumerate(self.parts) if name == part], np.intp)
        camids = None if self.camids is None else np.array([self.camids[row] for row in where])
        return where, np.array([self.pids[row] for row in where]), camids
