"""A row's per-query results by seed, and the persons and cameras of the queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reidbench.components import Metric
from reidbench.data import Split
from reidbench.errors import DataError
from reidbench.matrix.stage import Stage
from reidbench.report.formats.sentences import status_word
from reidbench.report.provenance import Evidence
from reidbench.report.queries import Arrays, metric_per_query, read_arrays, why_unknown
from reidbench.report.results import Leaderboard, Result
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

from .scored import ODD, Unknown, gone

Cell = tuple[str, str, str]  # method, task, evaluator


@dataclass(frozen=True)
class Row:
    """A method on a task by an evaluator: `results` are those with the metric, out of `results_in_all`.

    `queries` [S, Q]: the metric by seed and query, averaged over pre-trainings; NaN for queries that are not counted.
    `zeroed` counted queries have no true match and are 0 by a rule of the evaluator.
    """

    cell: Cell
    metric: Metric | None
    name: str
    results: tuple[Result, ...]
    results_in_all: int
    queries: np.ndarray
    zeroed: int = 0

    @property
    def counted(self) -> np.ndarray:
        """[Q] bool: counted queries."""
        return np.asarray(~np.isnan(self.queries[0]))

    @property
    def mean(self) -> np.ndarray:
        """[Q]: mean over seeds."""
        return np.asarray(self.queries.mean(0))

    @property
    def better(self) -> int:
        """1 if higher is better, -1 if lower is better, 0 if undeclared."""
        return 0 if self.metric is None else 1 if self.metric.better == "higher" else -1


def row_of(board: Leaderboard, cell: Cell, name: str) -> Row:
    """Return a row with per-query results. Raises Unknown with the reason if they are missing."""
    results = board.cell(*cell)
    good = tuple(result for result in results if name in result.metrics)
    if not good:
        raise Unknown(_without_number(results, name))
    arrays = [board.queries(result.row.key or "") for result in good]
    kept = _by_seed(good, name, arrays)
    return Row(cell, board.metric(cell[2], name), name, good, len(results), kept, _zeroed(kept[0], arrays[0]))


def _zeroed(values: np.ndarray, arrays: Arrays) -> int:
    """Return the number of queries that count as 0 although the evaluator marks them as invalid."""
    valid: np.ndarray | None = arrays.get("valid")
    if valid is None or valid.dtype.kind != "b" or valid.shape != values.shape:
        return 0
    return int(np.count_nonzero(~valid & ~np.isnan(values)))


def _without_number(results: Sequence[Result], name: str) -> str:
    errors = dict.fromkeys(result.error for result in results if result.error)
    return ": ".join([status_word(results), *(errors or [f"its evaluator gives no {name}"])][:2])


def _by_seed(results: Sequence[Result], name: str, kept: Sequence[Arrays]) -> np.ndarray:
    """Return [S, Q]. Raises Unknown."""
    seeds: dict[int | None, list[np.ndarray]] = {}
    for result, arrays in zip(results, kept, strict=True):
        if not arrays:
            raise Unknown("its evaluator stores no per-query results")
        values = metric_per_query(name, result.metrics[name], arrays)
        if values is None:
            raise Unknown(why_unknown(name, arrays))
        seeds.setdefault(result.row.seed, []).append(values)
    every = [values for found in seeds.values() for values in found]
    if len({(values.shape, np.isnan(values).tobytes()) for values in every}) > 1:
        raise Unknown("its results count different queries")
    return np.stack([np.mean(found, axis=0) for found in seeds.values()])


# ---------------------------------------------------------------------- labels
@dataclass(frozen=True)
class Labels:
    """Pids and camids [Q] of the queries of a data set."""

    pids: np.ndarray
    camids: np.ndarray


@dataclass
class Targets:
    """Labels of the queries of evaluations, cached by data set."""

    evidence: Evidence
    _known: dict[str, Labels | Unknown] = field(default_factory=dict)

    def of(self, row: Row) -> Labels:
        """Return the labels of a row's queries. Raises Unknown if they are missing or belong to other queries."""
        stages = self.evidence.plan.stages
        embed = stages[stages[row.results[0].row.key or ""].parents[0][1]]
        data = embed.data[0].key
        if data not in self._known:
            self._known[data] = _labels(self.evidence.store, embed)
        found = self._known[data]
        if isinstance(found, Unknown):
            raise found
        if len(found.pids) != row.queries.shape[1]:
            raise Unknown("its evaluator used queries that differ from the target's")
        return found


def _labels(store: Store, embed: Stage) -> Labels | Unknown:
    """Read the labels from the data stage or, if it was removed, from the features."""
    try:
        split = Split.load(store.read(embed.data[0].key).path / "query.json", Path())
        return Labels(split.pids, split.camids)
    except (KeyError, BadArtifact, DataError):
        return _labels_of_features(store, embed)


def _labels_of_features(store: Store, embed: Stage) -> Labels | Unknown:
    try:
        columns = read_arrays(store.read(embed.key), "features.npz")
        labels = Labels(columns["query_pids"], columns["query_camids"])
    except (KeyError, BadArtifact):
        return Unknown(gone(store, embed))
    if any(column.ndim != 1 or column.dtype.kind != "i" for column in (labels.pids, labels.camids)):
        return Unknown(ODD)
    return labels
