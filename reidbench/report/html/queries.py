"""Data for comparing two rows query by query on a page: values of all rows, and ranked lists of selected queries.

The page's script compares any two rows of a column. Ranked lists are selected here: for the best row of a column and
each other row, the queries with the largest differences.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reidbench.report.breakdown.compare import NOT_COUNTED, Column
from reidbench.report.breakdown.rows import Labels, Row, Targets
from reidbench.report.breakdown.scored import Unknown, explaining
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.report.results import Leaderboard
from reidbench.report.standings import apart
from reidbench.report.units import unit

from .ranked import Lister, RankedQuery, Thumbnails
from .ranked import Targets as Images

MOST_VALUES = 2_000_000  # of rows by query, two bytes each
MOST_PAIRS = 60  # of rows with images, shared by all columns; each column has at least one
TOO_MANY = (
    f"The rows have more than {MOST_VALUES:,} per-query values, too many for this page. "
    "`reidbench table FILE --against METHOD` counts queries won, tied and lost."
)


@dataclass
class Comparison:
    """Collects the columns whose rows can be compared."""

    board: Leaderboard
    evidence: Evidence
    options: Options
    thumbnails: Thumbnails
    targets: Targets
    _columns: list[Column] = field(default_factory=list)
    _labels: list[Labels] = field(default_factory=list)
    _images: Images = field(default_factory=dict)
    _values: int = 0

    def add(self, column: Column) -> None:
        """Add a column; above MOST_VALUES values, all columns are dropped."""
        if len(column.codes) < 2:
            return
        self._values += sum(map(len, column.codes.values()))
        if self._values > MOST_VALUES:
            self._columns.clear()
        else:
            self._columns.append(column)

    def data(self) -> dict[str, Any]:
        """Return the data of the page's script; `note` is set if there are too many values."""
        if self._values > MOST_VALUES:
            return {"columns": [], "targets": [], "note": TOO_MANY}
        columns = [self._column(one) for one in self._columns]
        # Data sets list queries by person, so differences of pids are short.
        pids = [np.diff(one.pids, prepend=0).tolist() for one in self._labels]
        targets = [{"steps": own, "camids": one.camids.tolist()} for own, one in zip(pids, self._labels, strict=True)]
        return {"columns": columns, "targets": targets, "note": ""}

    def _column(self, column: Column) -> dict[str, Any]:
        methods = sorted(column.rows, key=lambda method: -column.better * _value(column.rows[method]))
        known = column.rows[methods[0]].metric
        return {
            "task": column.task,
            "evaluator": column.evaluator,
            "better": column.better,
            "low": column.grid.low,
            "step": column.grid.step,
            "unit": unit(known).strip(),
            "rounded": column.grid.words,
            "target": self._target(column.rows[methods[0]]),
            "methods": methods,
            "words": [self._words(column.rows[method]) for method in methods],
            "codes": [_packed(column.codes[method]) for method in methods],
            "unknown": dict(column.unknown),
            **self._lists(column, methods),
        }

    def _target(self, row: Row) -> int | None:
        """Return the number of the labels of a row's queries, or None if unknown."""
        try:
            with explaining():
                labels = self.targets.of(row)
        except Unknown:
            return None
        if all(labels is not one for one in self._labels):
            self._labels.append(labels)
        return next(number for number, one in enumerate(self._labels) if one is labels)

    def _words(self, row: Row) -> list[str]:
        """Return the protocol words that make rows incomparable if one lacks them."""
        protocol = row.results[0].row.protocol
        return [*apart(protocol), *self.board.rule_words(protocol)]

    # ------------------------------------------------------------------ ranked lists
    def _lists(self, column: Column, methods: Sequence[str]) -> dict[str, Any]:
        """Return ranked lists by method and query, for the largest differences from the first method."""
        most = max(1, MOST_PAIRS // len(self._columns))
        wanted: dict[str, dict[int, None]] = {}
        for other in methods[1 : 1 + most] if column.better else ():
            queries = dict.fromkeys(largest_differences(column, methods[0], other, self.options.ranked))
            for method in (methods[0], other):
                wanted[method] = {**wanted.get(method, {}), **queries}
        lists: dict[str, dict[int, Any]] = {}
        pictures: dict[int, str] = {}
        reasons: dict[str, str] = {}
        for method, queries in wanted.items():
            if not queries:
                continue
            try:
                found = self._lister(column.rows[method]).queries(list(queries))
            except Unknown as reason:
                reasons[method] = str(reason)
                continue
            lists[method] = {query: _list(one) for query, one in found.items()}
            pictures |= {query: one.query.thumbnail for query, one in found.items() if one.query.thumbnail}
        return {"lists": lists, "pictures": pictures, "reasons": reasons}

    def _lister(self, row: Row) -> Lister:
        return Lister(self.evidence, row.results[0], self.options.pictures, self.thumbnails, self._images)


def largest_differences(column: Column, method: str, other: str, count: int) -> list[int]:
    """Return the `count` queries with a method's largest advantage over another, then those with its largest deficit.

    The page's script sorts queries in the same way: by difference, then by number.
    """
    own, theirs = (column.codes[name].astype(np.int64) for name in (method, other))
    if not np.array_equal(own == NOT_COUNTED, theirs == NOT_COUNTED):
        return []
    ahead = np.where(own == NOT_COUNTED, 0, column.better * (own - theirs))
    found = []
    for side in (ahead, -ahead):
        order = np.argsort(-side, kind="stable")[:count]
        found += order[side[order] > 0].tolist()
    return found


def _value(row: Row) -> float:
    return float(row.mean[row.counted].mean())


def _packed(codes: Any) -> str:
    return base64.b64encode(codes.astype("<u2").tobytes()).decode()


def _list(one: RankedQuery) -> Mapping[str, Any]:
    """Return rank of the first true match, AP to four decimals, and (pid, camid, image) of the first gallery images."""
    gallery = [[shown.pid, shown.camid, shown.thumbnail] for shown in one.gallery]
    return {"first": one.first_hit, "ap": round(one.ap, 4), "gallery": gallery}
