"""A row's metric by camera, pair of cameras, or person: means over the queries of each part and over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from reidbench.data import UNKNOWN_CAMERA
from reidbench.errors import ReidbenchError
from reidbench.report.options import Breakdown as Kind
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.report.queries import read_notes
from reidbench.report.results import Leaderboard
from reidbench.store.artifact import BadArtifact

from .pairs import Budget, pair_values
from .rows import Cell, Row, Targets, row_of
from .scored import Unknown, explaining

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Part:
    """Some queries of a row: `value` is the mean of the metric over them and seeds, NaN if none counts.

    `label` is (camid,), (camid of the query, camid of its true matches) or (pid,). `share` is the part's share, from 0
    to 1, of the gap between the row and the metric's best value; None if there is no best value or no gap.
    """

    label: tuple[int, ...]
    value: float
    queries: int
    share: float | None = None


@dataclass(frozen=True)
class Breakdown:
    """The breakdown of one row, or the `reason` why there is none. `value` is the mean over its counted `queries`.

    `results` of `results_in_all` have a number. `parts` has only the worst of `parts_in_all` persons. `across` is the
    mean over the pairs of different cameras. `dropped` queries are ignored, `zeroed` ones count as zero. `others` are
    query images that are not queries: the rules pool them or exclude their cameras. `cameraless`: the cameras of the
    queries are unknown.
    """

    cell: Cell
    reason: str = ""
    parts: tuple[Part, ...] = ()
    parts_in_all: int = 0
    value: float = math.nan
    queries: int = 0
    results: int = 0
    results_in_all: int = 0
    dropped: int = 0
    zeroed: int = 0
    others: int = 0
    across: float | None = None
    cameraless: bool = False


def breakdowns(board: Leaderboard, evidence: Evidence, kind: Kind, metric: str, worst: int) -> Iterator[Breakdown]:
    """Yield the breakdown of every row, in the order of tasks, evaluators and methods; for persons, the `worst`.

    Raises ReidbenchError for an unknown kind.
    """
    if kind not in KINDS:
        raise ReidbenchError(f"unknown breakdown {kind!r} (known: {', '.join(KINDS)})")
    breaking = Breaking(board, evidence, metric, worst)
    for task in board.tasks:
        for evaluator in board.evaluators:
            for method in board.methods:
                if board.cell(method, task, evaluator):
                    yield breaking.down((method, task, evaluator), kind)


class Breaking:
    """Makes breakdowns of rows by a metric; reads the labels of a data set once for all rows.

    `budget` limits the multiply-adds for ranking queries again by camera pair.
    """

    def __init__(
        self,
        board: Leaderboard,
        evidence: Evidence,
        metric: str,
        worst: int = Options.worst,
        budget: Budget | None = None,
    ) -> None:
        self.board, self.evidence, self.metric, self.worst = board, evidence, metric, worst
        self.targets, self.budget = Targets(evidence), budget or Budget()

    def down(self, cell: Cell, kind: Kind) -> Breakdown:
        """Return the breakdown of one row, or the reason why there is none."""
        try:
            return self.row(row_of(self.board, cell, self.metric), kind)
        except Unknown as reason:
            return Breakdown(cell, str(reason))

    def row(self, row: Row, kind: Kind) -> Breakdown:
        """Return the breakdown of a row with per-query results, or the reason why there is none."""
        try:
            with explaining():
                return self._parts(row, kind)
        except Unknown as reason:
            return Breakdown(row.cell, str(reason))

    def _parts(self, row: Row, kind: Kind) -> Breakdown:
        labels, across = self.targets.of(row), None
        camids = np.maximum(labels.camids, UNKNOWN_CAMERA)
        if kind == "persons":
            every = _worst_first(row, labels.pids)
        elif kind == "camera":
            every = _grouped(row, camids)
        else:
            every = _paired(camids, *pair_values(row, self.evidence, self.budget))
            across = _mean([part.value for part in every if part.label[0] != part.label[1]])
        asked = _asked(self.evidence, row)
        return Breakdown(
            row.cell,
            parts=tuple(every[: self.worst] if kind == "persons" else every),
            parts_in_all=len(every),
            value=float(row.mean[row.counted].mean()),
            queries=int(row.counted.sum()),
            results=len(row.results),
            results_in_all=row.results_in_all,
            dropped=asked - int(row.counted.sum()),
            zeroed=row.zeroed,
            others=len(row.counted) - asked,
            across=across,
            cameraless=kind != "persons" and bool((camids == UNKNOWN_CAMERA).all()),
        )


def _asked(evidence: Evidence, row: Row) -> int:
    """Return how many of the query images [Q] are queries, as the evaluator notes; pooled images count once."""
    images, counted = len(row.counted), int(row.counted.sum())
    try:
        noted = read_notes(evidence.store.read(row.results[0].row.key or "")).get("num_queries")
    except (KeyError, BadArtifact):
        return images
    return noted if isinstance(noted, int) and counted <= noted <= images else images


def _grouped(row: Row, labels: np.ndarray) -> list[Part]:
    """Return one part per label of the queries [Q], in ascending order."""
    found, group = np.unique(labels, return_inverse=True)
    queries = np.bincount(group, row.counted, len(found)).astype(int)
    sums = np.bincount(group, np.where(row.counted, row.mean, 0.0), len(found))
    values = np.divide(sums, queries, out=np.full(len(found), np.nan), where=queries > 0)
    lacking = _lacking(row)
    shares = [None] * len(found) if lacking is None else np.bincount(group, lacking, len(found)).tolist()
    columns = zip(found.tolist(), values.tolist(), queries.tolist(), shares, strict=True)
    return [Part((label,), value, count, share) for label, value, count, share in columns]


def _worst_first(row: Row, pids: np.ndarray) -> list[Part]:
    """Return one part per counted person, the worst first. Raises Unknown for an undeclared metric."""
    if not row.better:
        raise Unknown(
            f"its evaluator does not declare whether higher {row.name} is better, so identities cannot be sorted"
        )
    counted = [part for part in _grouped(row, pids) if part.queries]
    return sorted(counted, key=lambda part: (row.better * part.value, part.label))


def _lacking(row: Row) -> np.ndarray | None:
    """Return [Q]: each query's share of the gap to the best value; None without a best value or a gap."""
    if row.metric is None:
        return None
    best = row.metric.ends[row.better > 0]
    if not math.isfinite(best):
        return None
    lacking = np.where(row.counted, np.abs(best - row.mean), 0.0)
    total = float(lacking.sum())
    return np.asarray(lacking / total) if total > 0 else None


def _paired(query_camids: np.ndarray, camids: np.ndarray, values: np.ndarray) -> list[Part]:
    """Return parts by query camera and camera of the true matches [C] from values [Q, C]; only parts with queries."""
    parts = []
    for own in np.unique(query_camids).tolist():
        for camid, column in zip(camids.tolist(), values[query_camids == own].T, strict=True):
            counted = column[~np.isnan(column)]
            if len(counted):
                parts.append(Part((own, camid), float(counted.mean()), len(counted)))
    return parts


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
