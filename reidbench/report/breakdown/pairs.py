"""A row's per-query results by camera of the true matches, from its stored features ranked again."""

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
    """Remaining multiply-adds for ranking queries again."""

    left: float = math.inf

    def spend(self, scored: Scored) -> None:
        """Spend the cost of ranking all queries of a result. Raises Unknown if it exceeds the rest."""
        queries, gallery = (scored.columns[f"{side}_features"] for side in ("query", "gallery"))
        cost = float(len(queries)) * float(gallery.size)
        if cost > self.left:
            raise Unknown(
                "ranking all queries again exceeds the budget of this page; "
                "use `reidbench table FILE --breakdown camera-pair`"
            )
        self.left -= cost


def pair_values(row: Row, evidence: Evidence, budget: Budget) -> tuple[np.ndarray, np.ndarray]:
    """Return cameras [C] of true matches, and the row's metric [Q, C] by query and camera, averaged over seeds.

    NaN if a query has no counted true match in a camera. Raises Unknown if the metric is not defined by camera or if
    the stored features do not reproduce the scores.
    """
    if row.name not in PAIRED and not CMC.fullmatch(row.name):
        raise Unknown(f"camera pairs are defined for mAP, mINP, CMC and the score, not for {row.name}")
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
        raise Unknown(f"its features, ranked again, do not reproduce its {name}")
    cameras = again.cameras
    assert cameras is not None  # requested above
    columns = zip(cameras.ap.T, cameras.inp.T, cameras.first_hit.T, strict=True)
    values = [raw_per_query(name, {"ap": a, "inp": i, "first_hit": f, "valid": f > 0}) for a, i, f in columns]
    return cameras.camids, np.column_stack([column for column in values if column is not None])


def _arrays(again: Ranking) -> dict[str, np.ndarray]:
    return {"ap": again.ap, "inp": again.inp, "first_hit": again.first_hit, "valid": again.valid}
