"""Rank the methods of a column: only significant differences separate methods."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reidbench.data.overlap import PERSONS_IN_TRAIN, TEST_IN_TRAIN, TEST_IN_VALIDATION
from reidbench.data.standin import STAND_IN
from reidbench.metrics.comparisons.replicates import Replicate, common
from reidbench.metrics.statistics import TINY, student, tied_with_best, welch
from reidbench.words import DECLARED, ON_TEST_LABELS, UNDECLARED

from .queries import Reader, better_by_queries, metric_per_query
from .results import Leaderboard, Result, replicates

NOT_COMPARABLE = (
    "transductive",
    "truth",
    "test-images",
    UNDECLARED,  # may be any of these
    TEST_IN_TRAIN,
    PERSONS_IN_TRAIN,
    TEST_IN_VALIDATION,
    STAND_IN,
    ON_TEST_LABELS,
)  # protocols that are never ranked with others
ENOUGH = 3  # seeds in common for a paired comparison of rows that also have other seeds


@dataclass(frozen=True)
class Place:
    """Place of a method in one column.

    `rank` is one more than the number of significantly better methods, `tied` the number of methods that share it, and
    `beats` the number of significantly worse methods, out of `rivals` including itself. `kind` holds the words that
    separate them from other rows (transductive, truth, test images in train, stand-in data, another rule of the
    evaluator), or empty. `behind` are the significantly better methods.
    """

    rank: int
    tied: int
    beats: int
    rivals: int
    kind: tuple[str, ...] = ()
    behind: tuple[str, ...] = field(default=(), repr=False, compare=False)


def leaders(board: Leaderboard, task: str, evaluator: str, metric: str) -> set[str]:
    """Return the best method of one column and all methods tied with it; none for an undeclared metric.

    Methods are compared over paired seeds (and pre-trainings, if one has several), or over queries if one has only two
    results. A method that depends on no seed has the same value for every seed of the other: it is better or worse if
    both the other's seeds and the queries agree. Two such methods are compared over queries alone. Methods with one
    result of several possible ones, or with two or no seeds and no per-query results, are left out. Rows that saw the
    test images or persons or the truth, or that were scored by another rule, are compared only with rows of the same
    kind; rows with parameters chosen on test labels are never compared.
    """
    found: set[str] = set()
    for column in _columns(board, task, evaluator, metric):
        # If results are missing, a row with a lower mean may be better over the common ones.
        means = np.where(column.beaten.any(0) & ~column.beaten.any(0).all(), -np.inf, column.means)
        beaten = column.beaten[int(np.argmax(means))]
        found |= {method for method, worse in zip(column.methods, beaten, strict=True) if not worse}
    return found


def places(board: Leaderboard, task: str, evaluator: str, metric: str) -> dict[str, Place]:
    """Return the place of every method that can be ranked in one column; comparisons are those of `leaders`."""
    found: dict[str, Place] = {}
    for column in _columns(board, task, evaluator, metric):
        ranks = (1 + column.beaten.sum(0)).tolist()
        for number, (method, rank, beats) in enumerate(
            zip(column.methods, ranks, column.beaten.sum(1).tolist(), strict=True)
        ):
            behind = tuple(column.methods[better] for better in np.flatnonzero(column.beaten[:, number]))
            found[method] = Place(rank, ranks.count(rank), beats, len(ranks), column.kind, behind)
    return found


@dataclass(frozen=True)
class _Column:
    """Methods ranked together: means (higher is better), and [M, M] whether i is significantly better than j."""

    kind: tuple[str, ...]
    methods: tuple[str, ...]
    means: list[float]
    beaten: np.ndarray


def _columns(board: Leaderboard, task: str, evaluator: str, metric: str) -> list[_Column]:
    """Split one column by the protocol words that exclude rows from a common ranking."""
    known = board.metric(evaluator, metric)
    if known is None:
        return []
    cells = {method: board.cell(method, task, evaluator) for method in board.methods}
    groups = _groups(board, cells, metric, 1.0 if known.better == "higher" else -1.0)
    shared = set.intersection(*map(set, groups)) if groups else set()
    shared -= set(NOT_COMPARABLE)
    return [
        _Column(
            tuple(word for word in kind if word not in shared),
            tuple(rows),
            [math.fsum(entry.values) / len(entry.values) for entry in rows.values()],
            _better(list(rows.values())),
        )
        for kind, rows in groups.items()
        if ON_TEST_LABELS not in kind  # never ranked, not even with each other
    ]


@dataclass(frozen=True)
class _Entry:
    """A method's values by pre-training and seed, and their mean for each query if known; higher is better."""

    by_replicate: Mapping[Replicate, float]
    queries: np.ndarray | None

    @property
    def values(self) -> list[float]:
        """All values, in ascending order of pre-trainings and seeds."""
        return list(self.by_replicate.values())

    @property
    def fixed(self) -> bool:
        """Whether the method depends on no seed, so that its one value holds for all."""
        return (None, None) in self.by_replicate

    @property
    def seeds(self) -> tuple[int, ...] | None:
        """The seeds, if the method varies with them alone; empty if it is fixed, None otherwise."""
        pretrainings = {pretrained for pretrained, _ in self.by_replicate}
        seeds = tuple(seed for _, seed in self.by_replicate if seed is not None)
        return seeds if self.fixed or (seeds and len(pretrainings) == 1) else None


def _groups(
    board: Leaderboard, cells: Mapping[str, Sequence[Result]], metric: str, sign: float
) -> dict[tuple[str, ...], dict[str, _Entry]]:
    """Group the methods that can be ranked by the words that exclude them from the ranking of others."""
    found = {method: values for method, results in cells.items() if (values := replicates(results, metric))}
    few = any(len(values) == 2 or (None, None) in values for values in found.values())
    groups: dict[tuple[str, ...], dict[str, _Entry]] = {}
    left_out = set()  # kinds with a row that has too few seeds
    for method, values in found.items():
        fixed = (None, None) in values
        alone = len(values) == 1 and not fixed
        queries = per_query(cells[method], metric, board.queries) if few and not alone else None
        protocols = ", ".join(result.row.protocol for result in cells[method] if metric in result.metrics)
        kind = kind_of(board, ", ".join(dict.fromkeys(protocols.split(", "))))  # what one result saw limits the row
        if len(values) > 2 or queries is not None:
            entry = _Entry(
                {key: sign * value for key, value in values.items()}, None if queries is None else sign * queries
            )
            groups.setdefault(kind, {})[method] = entry
        elif not fixed:
            left_out.add(kind)
    # If no row with seeds can be ranked, the best row without a seed is not the best of the column.
    ranked = {kind for kind, rows in groups.items() if any(not entry.fixed for entry in rows.values())}
    return {kind: rows for kind, rows in groups.items() if kind in ranked or kind not in left_out}


def kind_of(board: Leaderboard, protocol: str) -> tuple[str, ...]:
    """Return the protocol words and evaluator rules that limit a row to rankings of its kind."""
    return (*apart(protocol), *sorted(board.rule_words(protocol)))


def _better(rows: list[_Entry]) -> np.ndarray:
    """Return [M, M] bool: whether row i is significantly better than row j."""
    counts = np.array([0 if row.fixed else len(row.by_replicate) for row in rows])
    seeds = [row.seeds for row in rows]
    paired = np.flatnonzero([bool(own) for own in seeds])
    found = np.zeros((len(rows), len(rows)), dtype=bool)
    found[np.ix_(paired, paired)] = better_by_seeds([rows[i].values for i in paired])
    compared = seeds[0] is not None and len(set(seeds)) == 1
    for i, j in () if compared else itertools.combinations(range(len(rows)), 2):
        own, other = seeds[i], seeds[j]
        if own is not None and own == other:
            continue  # compared above, or both without seeds
        if not own or not other or len({*own} & {*other}) >= ENOUGH:
            found[i, j], found[j, i] = _ahead(rows[i], rows[j])
        else:  # not paired
            found[i, j] = welch(rows[i].values, rows[j].values).low > TINY
            found[j, i] = welch(rows[j].values, rows[i].values).low > TINY
    if (counts == 2).any() or (counts == 0).any():
        by_queries, comparable = better_by_queries([row.queries for row in rows])
        fewer, more = np.minimum.outer(counts, counts), np.maximum.outer(counts, counts)
        alone = (fewer == 2) | (more <= 2)  # otherwise two seeds, or none, would decide
        found = np.where(alone, by_queries & comparable, found & (by_queries & comparable | (fewer > 0)))
    return found


def _ahead(first: _Entry, second: _Entry) -> tuple[bool, bool]:
    """Return whether the first row is better than the second over common results, and the reverse."""
    pair = common(first.by_replicate, second.by_replicate)
    if pair is None:
        return False, False
    ahead = pair.difference(samples=1)
    return bool(ahead.low > TINY), bool(ahead.high < -TINY)


def per_query(results: Sequence[Result], metric: str, read: Reader) -> np.ndarray | None:
    """Return [Q]: a metric by query, averaged over results; NaN for invalid queries. None if not stored."""
    each = [
        metric_per_query(metric, result.metrics[metric], read(result.row.key or ""))
        for result in results
        if metric in result.metrics
    ]
    known = [values for values in each if values is not None]
    kinds = {(values.shape, np.isnan(values).tobytes()) for values in known}
    return np.mean(known, axis=0) if len(known) == len(each) and len(kinds) == 1 else None


def better_by_seeds(rows: list[list[float]]) -> np.ndarray:
    """Return [M, M] bool: whether row i is significantly better than row j, by the rule of `tied_with_best`.

    Rows with the same number of seeds (the usual case) are compared at once: a single pair takes 0.1 ms, and there are
    M x M.
    """
    found = np.zeros((len(rows), len(rows)), dtype=bool)
    counts = np.array([len(row) for row in rows])
    for count in np.unique(counts[counts > 1]).tolist():
        members = np.flatnonzero(counts == count)
        values = np.array([rows[i] for i in members])
        quantile = student(0.975, count - 1) / math.sqrt(count)
        for i, row in zip(members.tolist(), values, strict=True):
            ahead = row - values
            found[i, members] = ahead.mean(1) - quantile * ahead.std(1, ddof=1) > TINY
    for i, j in np.argwhere(counts[:, None] != counts).tolist():
        found[i, j] = tied_with_best([rows[i], rows[j]]) == [True, False]
    return found


def apart(protocol: str) -> tuple[str, ...]:
    """Return the words of a protocol, measured or declared, that exclude it from rankings of protocols without them."""
    words = {word.removeprefix(DECLARED) for word in protocol.split(", ")}
    return tuple(word for word in NOT_COMPARABLE if word in words)
