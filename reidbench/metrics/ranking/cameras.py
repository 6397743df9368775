"""Results per query and camera of the true matches: the camera pairs of Market-1501's evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .matches import Labels, Pairs
from .scores import Scores

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ByCamera:
    """Results of each query by the camera of its true matches (Zheng et al., ICCV 2015, and their released code).

    For a camera of `camids` [C], the true matches of all other cameras are left out like junk, while other persons
    stay, from any camera. `ap` and `inp` [Q, C] are NaN and `first_hit` [Q, C] is 0 if a query has no true match in the
    camera, as in its own camera under the camera rule. The released code scores the query's own camera too; this class
    does not.
    """

    camids: NDArray[np.int64]
    _gallery_camids: NDArray[np.int64]
    _scores: tuple[Scores, ...]

    @classmethod
    def of(cls, labels: Labels) -> ByCamera:
        """Create an empty result; the cameras are those of the gallery rows of any query's person."""
        wanted = np.isin(labels.gallery_pids, labels.query_pids)
        camids = np.unique(labels.gallery_camids[wanted])
        return cls(camids, labels.gallery_camids, tuple(Scores(len(labels.query_pids)) for _ in camids))

    def fill(self, part: slice, before: NDArray[np.int64], hits: Pairs, rule: str) -> None:
        """Fill in the results of one block, from the number of other persons' rows before each of its hits."""
        cameras = self._gallery_camids[hits.cols]
        for camid, scores in zip(self.camids, self._scores, strict=True):
            mine = cameras == camid
            scores.fill(part, before[mine], Pairs(hits.rows[mine], hits.cols[mine]), rule)

    @property
    def ap(self) -> Doubles:
        """Average precision [Q, C]."""
        return np.column_stack([scores.ap for scores in self._scores])

    @property
    def inp(self) -> Doubles:
        """Inverse negative penalty [Q, C]."""
        return np.column_stack([scores.inp for scores in self._scores])

    @property
    def first_hit(self) -> NDArray[np.int64]:
        """Rank of the first true match [Q, C], 0 if there is none."""
        return np.column_stack([scores.first_hit for scores in self._scores])
