"""A row's results of each query by the camera of its true matches: its stored features, ranked again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reidbench.metrics import Ranking
from reidbench.report.provenance import Evidence
from reidbench.report.queries import CMC, metric_per_query, raw_per_query
from reidbench.report.results import SCORE, Result

from .rows import Row
from .scored import Scored, Unknown

PAIRED = ("mAP", "mINP", SCORE)  # and CMC at any rank


@dataclass
class Budget:
    """Multiply-adds of queries with their gallery that may still be spent."""

    left: float = math.inf

    def spend(self, scored: Scored) -> None:
        """Take what ranking all queries of a result again costs. Raises Unknown where that is more than is left."""
        queries, gallery = (scored.columns[f"{side}_features"] for side in ("query", "gallery"))
        cost = float(len(queries)) * float(gallery.size)
        if cost > self.left:
            raise Unknown(
                "to rank all of its queries again is more work than this page takes on; "
                "`reidbench table FILE --breakdown camera-pair` does it"
            )
        self.left -= cost


def pair_values(row: Row, evidence: Evidence, budget: Budget) -> tuple[np.ndarray, np.ndarray]:
    """Cameras [C] of true matches, and the row's metric [Q, C] by query and camera, the mean over its seeds.

    NaN where a query has no true match in a camera that counts. Raises Unknown where the metric has no such
    definition, or where the stored features do not give what was scored.
    """
    if row.name not in PAIRED and not CMC.fullmatch(row.name):
        raise Unknown(f"pairs of cameras are defined for mAP, mINP, CMC and their score, not for {row.name}")
    seeds: dict[int | None, list[np.ndarray]] = {}
    camids = np.empty(0, np.int64)
    for result in row.results:
        camids, values = _of_result(row.name, result, evidence, budget)
        seeds.setdefault(result.row.seed, []).append(values)
    return camids, np.mean([np.mean(found, axis=0) for found in seeds.values()], axis=0)


def _of_result(name: str, result: Result, evidence: Evidence, budget: Budget) -> tuple[np.ndarray, np.ndarray]:
    scored = Scored.of(evidence, result.row.key or "")
    budget.spend(scored)
    again = scored.ranked(np.arange(len(scored.ap)), by_camera=True)
    if metric_per_query(name, result.metrics[name], _arrays(again)) is None:
        raise Unknown(f"its features, ranked again, do not give its {name}")
    cameras = again.cameras
    assert cameras is not None  # they were asked for
    columns = zip(cameras.ap.T, cameras.inp.T, cameras.first_hit.T, strict=True)
    values = [raw_per_query(name, {"ap": a, "inp": i, "first_hit": f, "valid": f > 0}) for a, i, f in columns]
    return cameras.camids, np.column_stack([column for column in values if column is not None])


def _arrays(again: Ranking) -> dict[str, np.ndarray]:
    return {"ap": again.ap, "inp": again.inp, "first_hit": again.first_hit, "valid": again.valid}
