"""Data of the failure analysis on a page: each row by camera, pair of cameras and person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reidbench.report.breakdown.compare import Column, column
from reidbench.report.breakdown.pairs import Budget
from reidbench.report.breakdown.parts import Breakdown, Breaking, Part
from reidbench.report.breakdown.rows import Row
from reidbench.report.formats.breakdown import camera, notes, person, without_parts, worst_sentence
from reidbench.report.options import Options
from reidbench.report.provenance import Evidence
from reidbench.report.results import Leaderboard
from reidbench.report.units import NAMES, number

from .queries import Comparison
from .ranked import Thumbnails

MOST_PRODUCTS = 1e12  # multiply-adds for ranking all queries again for pairs of cameras: a minute on one core
MOST_CAMERAS = 40  # of a table


@dataclass(frozen=True)
class Cell:
    """A value, its number of queries, and `lack`: 0 (best of its table) to 1 (worst), None without colour."""

    text: str
    queries: int
    lack: float | None


@dataclass(frozen=True)
class Heat:
    """One line per query camera: its mean, then one cell for each of `cameras` (of true matches)."""

    cameras: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True)
class FailingRow:
    """A row's breakdown. `across` is the mean over pairs of different cameras, `worst` the worst pair or camera.

    `persons` hold pid, value, number of queries and share of the error; `reasons` explain missing parts.
    """

    cell: tuple[str, str, str]
    heat: Heat
    across: str
    worst: str
    persons: tuple[tuple[str, str, int, float | None], ...]
    persons_sentence: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Fails:
    """The section: breakdowns, reasons for missing ones, notes, and the data to compare two rows query by query."""

    rows: tuple[FailingRow, ...]
    unknown: Mapping[str, Sequence[str]]
    notes: tuple[str, ...]
    queries: Mapping[str, Any]


def fails(
    board: Leaderboard, evidence: Evidence, metric: str, options: Options, thumbnails: Thumbnails
) -> Fails | None:
    """Return the section, or None if no row has the metric."""
    if not any(one.metric == metric for one in board.summary):
        return None
    breaking = Breaking(board, evidence, metric, options.worst, Budget(MOST_PRODUCTS))
    comparison = Comparison(board, evidence, options, thumbnails, breaking.targets)
    rows: list[FailingRow] = []
    lacking: list[Breakdown] = []
    said: dict[str, None] = {}
    for task in board.tasks:
        for evaluator in board.evaluators:
            found = column(board, task, evaluator, metric)
            comparison.add(found)
            lacking += _unknown(board, found)
            for row in found.rows.values():
                cameras = breaking.row(row, "camera")
                said |= dict.fromkeys(notes(board, cameras))
                if cameras.reason:
                    lacking.append(cameras)
                else:
                    rows.append(_row(row, cameras, breaking))
    return Fails(tuple(rows), without_parts(board, lacking), tuple(said), comparison.data())


def _unknown(board: Leaderboard, found: Column) -> Iterator[Breakdown]:
    """Yield rows with results but without per-query results; the leaderboard explains rows without results."""
    for method, why in found.unknown.items():
        if any(result.status == "ok" for result in board.cell(method, found.task, found.evaluator)):
            yield Breakdown((method, found.task, found.evaluator), why)


def _row(row: Row, cameras: Breakdown, breaking: Breaking) -> FailingRow:
    pairs, persons = breaking.row(row, "camera-pair"), breaking.row(row, "persons")
    reasons = [f"No pairs of cameras: {pairs.reason}."] if pairs.reason else []
    reasons += [f"No worst identities: {persons.reason}."] if persons.reason else []
    if len({part.label[1] for part in pairs.parts}) > MOST_CAMERAS:
        reasons.append(f"More than {MOST_CAMERAS} cameras: use `reidbench table FILE --breakdown camera-pair`.")
        pairs = Breakdown(row.cell)
    return FailingRow(
        row.cell,
        _heat(row, cameras, pairs),
        "" if pairs.across is None else number(pairs.across, row.metric),
        _worst(row, pairs.parts if len(pairs.parts) > 1 else cameras.parts),
        tuple((person(p.label[0]), number(p.value, row.metric), p.queries, p.share) for p in persons.parts),
        worst_sentence(persons, NAMES.get(row.name, row.name)),
        tuple(reasons),
    )


def _heat(row: Row, cameras: Breakdown, pairs: Breakdown) -> Heat:
    lacks = _lacks(row, [*cameras.parts, *pairs.parts])
    by_pair = {part.label: part for part in pairs.parts}
    others = sorted({part.label[1] for part in pairs.parts}, key=_unknown_last)
    lines = []
    for part in sorted(cameras.parts, key=lambda part: _unknown_last(part.label[0])):
        cells = [part, *(by_pair.get((part.label[0], other)) for other in others)]
        lines.append((camera(part.label[0]), tuple(_cell(row, cell, lacks) for cell in cells)))
    return Heat(tuple(map(camera, others)), tuple(lines))


def _cell(row: Row, part: Part | None, lacks: Mapping[float, float]) -> Cell | None:
    if part is None or not part.queries:
        return None
    return Cell(number(part.value, row.metric), part.queries, lacks.get(part.value))


def _lacks(row: Row, parts: Sequence[Part]) -> dict[float, float]:
    """Return each value's distance from the best, 0 to 1; empty if all are equal or the metric is undeclared."""
    values = [row.better * part.value for part in parts if part.queries]
    best, worst = max(values, default=0.0), min(values, default=0.0)
    if best == worst:
        return {}
    return {row.better * value: (best - value) / (best - worst) for value in values}


def _worst(row: Row, parts: Sequence[Part]) -> str:
    known = [part for part in parts if part.queries]
    if not row.better or len(known) < 2:
        return ""
    worst = min(known, key=lambda part: row.better * part.value)
    return f"{' → '.join(map(camera, worst.label))}: {number(worst.value, row.metric)}"


def _unknown_last(camid: int) -> tuple[bool, int]:
    return camid < 0, camid
