"""Breakdowns of rows (by camera, pair of cameras, or person) as Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from reidbench.data import UNKNOWN_CAMERA
from reidbench.report.breakdown.parts import Breakdown, Part
from reidbench.report.options import Breakdown as Kind
from reidbench.report.results import Leaderboard
from reidbench.report.units import NAMES, heading, number, own_unit

from .sentences import some
from .tables import one_line, plain, table

LABELS: dict[Kind, tuple[str, ...]] = {
    "camera": ("camera",),
    "camera-pair": ("query_camera", "gallery_camera"),
    "persons": ("pid",),
}
MEANT: dict[Kind, str] = {
    "camera": "by query camera: mean over queries and seeds (number of counted queries).",
    "camera-pair": "by pair of cameras: mean over queries and seeds (number of counted queries).",
    "persons": "of the worst identities: mean over queries and seeds.",
}
PAIRED = (
    "Rows are the cameras of queries, columns those of their true matches. True matches from other cameras are "
    "ignored like junk, other identities of all cameras stay in the gallery, and a query counts only if it has a true "
    "match in the column's camera (Zheng et al., ICCV 2015)."
)
ROW = ("method", "task", "evaluator")


def person(pid: int) -> str:
    """Return a pid as text, with the meaning of -1 and 0."""
    return {-1: "-1 (junk)", 0: "0 (distractor)"}.get(pid, str(pid))


def camera(camid: int) -> str:
    """Return a camid as text."""
    return "unknown camera" if camid == UNKNOWN_CAMERA else f"camera {camid}"


# ---------------------------------------------------------------------- Markdown
def markdown(board: Leaderboard, found: Sequence[Breakdown], kind: Kind, metric: str) -> str:
    """Return tables of the breakdowns, notes on ignored queries, and the rows without a breakdown."""
    parts = [f"# {one_line(board.title)}", "", one_line(f"{heading(board, metric)} {MEANT[kind]}"), ""]
    parts += [PAIRED, ""] if kind == "camera-pair" else []
    for title, lines in _TABLES[kind](board, [one for one in found if not one.reason], metric):
        parts += [f"## {one_line(title)}", "", *lines, ""]
    said = list(dict.fromkeys(note for one in found for note in notes(board, one)))
    parts += [*(f"- {one_line(note)}" for note in said), ""] if said else []
    lacking = [f"{some(rows)}: {reason}" for reason, rows in without_parts(board, found).items()]
    parts += ["Rows without a breakdown:", "", *(f"- {one_line(row)}" for row in lacking), ""] if lacking else []
    return "\n".join(parts)


def _cameras(board: Leaderboard, found: Sequence[Breakdown], metric: str) -> Iterator[tuple[str, list[str]]]:
    """Yield one table per task and evaluator, with one line per method."""
    columns: dict[str, list[Breakdown]] = {}
    for one in found:
        columns.setdefault(_where(board, one), []).append(one)
    for title, rows in columns.items():
        camids = sorted({part.label[0] for one in rows for part in one.parts}, key=_unknown_last)
        lines = []
        for one in rows:
            by_camera = {part.label[0]: part for part in one.parts}
            cells = [_cell(board, one, by_camera.get(camid), metric) for camid in camids]
            lines.append([_method(one), f"{_number(board, one, one.value, metric)} ({one.queries})", *cells])
        yield title, [table(["method", "all", *map(camera, camids)], lines)]


def _pairs(board: Leaderboard, found: Sequence[Breakdown], metric: str) -> Iterator[tuple[str, list[str]]]:
    """Yield one table per row, query cameras over gallery cameras."""
    for one in found:
        own, others = (sorted({part.label[side] for part in one.parts}, key=_unknown_last) for side in (0, 1))
        by_pair = {part.label: part for part in one.parts}
        lines = [
            [camera(camid), *(_cell(board, one, by_pair.get((camid, other)), metric) for other in others)]
            for camid in own
        ]
        shown = [table(["query", *map(camera, others)], lines)]
        if one.across is not None:
            shown += ["", f"Mean over pairs of different cameras: {_number(board, one, one.across, metric)}."]
        yield f"{_method(one)} on {_where(board, one)}", shown


def _persons(board: Leaderboard, found: Sequence[Breakdown], metric: str) -> Iterator[tuple[str, list[str]]]:
    """Yield one table per row, the worst person first."""
    label = NAMES.get(metric, metric)
    for one in found:
        lines = [
            [person(part.label[0]), _number(board, one, part.value, metric), part.queries, _percent(part.share)]
            for part in one.parts
        ]
        said = worst_sentence(one, label)
        yield (
            f"{_method(one)} on {_where(board, one)}",
            [table(["pid", label, "queries", "share of the error, %"], lines), *(["", said] if said else [])],
        )


_Tables = Callable[[Leaderboard, Sequence[Breakdown], str], Iterator[tuple[str, list[str]]]]
_TABLES: dict[Kind, _Tables] = {"camera": _cameras, "camera-pair": _pairs, "persons": _persons}


def worst_sentence(one: Breakdown, label: str) -> str:
    """Return a sentence with the share of the worst identities in queries and error (best value minus metric)."""
    queries = sum(part.queries for part in one.parts)
    shares = [part.share for part in one.parts if part.share is not None]
    if not one.parts or len(shares) < len(one.parts):
        return ""
    return (
        f"These {len(one.parts)} of {one.parts_in_all} identities have {queries} of {one.queries} queries and "
        f"{_percent(math.fsum(shares))} % of the error (the gap between {label} and its best value)."
    )


def _cell(board: Leaderboard, one: Breakdown, part: Part | None, metric: str) -> str:
    if part is None or math.isnan(part.value):
        return "-"
    return f"{_number(board, one, part.value, metric)} ({part.queries})"


def _number(board: Leaderboard, one: Breakdown, value: float, metric: str) -> str:
    evaluator = one.cell[2]
    return number(value, board.metric(evaluator, metric)) + own_unit(board, metric, evaluator)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _unknown_last(camid: int) -> tuple[bool, int]:
    return camid == UNKNOWN_CAMERA, camid


def _method(one: Breakdown) -> str:
    fewer = one.results < one.results_in_all
    return f"{one.cell[0]} ({one.results}/{one.results_in_all} results)" if fewer else one.cell[0]


def _where(board: Leaderboard, one: Breakdown) -> str:
    return f"{one.cell[1]} by {one.cell[2]}" if len(board.evaluators) > 1 else one.cell[1]


def without_parts(board: Leaderboard, found: Sequence[Breakdown]) -> dict[str, list[str]]:
    """Return the rows without a breakdown, by reason."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        if one.reason:
            reasons.setdefault(one.reason, []).append(f"{one.cell[0]} on {_where(board, one)}")
    return reasons


def notes(board: Leaderboard, one: Breakdown) -> Iterator[str]:
    """Yield notes on queries that are ignored or count as zero, for all methods of a column."""
    where, total = _where(board, one), one.queries + one.dropped
    if one.dropped:
        yield f"{where}: {one.dropped} of {total} queries are ignored: they have no true match"
    if one.others:
        images = f"{one.others} of {total + one.others} query images are not separate queries"
        yield f"{where}: {images}: the rules pool them or exclude their cameras"
    if one.zeroed:
        yield f"{where}: {one.zeroed} of {total} queries count as 0: they have no true match"
    if one.cameraless:
        yield f"{where}: the cameras of the queries are unknown"


# ---------------------------------------------------------------------- CSV and JSON
def as_csv(board: Leaderboard, found: Sequence[Breakdown], kind: Kind, metric: str) -> str:
    """Return one line per part of each row; values are fractions, as evaluators give them; camera -1 is unknown."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    shares = [] if kind == "camera-pair" else ["share"]
    last = ["value", "queries", *shares, "results", "results_in_all", "reason"]
    writer.writerow([*ROW, "metric", *LABELS[kind], *last])
    for one in found:
        row = [*map(plain, one.cell), plain(metric)]
        for part in one.parts:
            value, share = ("" if value is None else repr(value) for value in (_finite(part.value), part.share))
            numbers = [value, part.queries, *([share] if shares else []), one.results, one.results_in_all]
            writer.writerow([*row, *part.label, *numbers, ""])
        if one.reason:
            writer.writerow([*row, *[""] * (len(LABELS[kind]) + len(last) - 1), plain(one.reason)])
    return stream.getvalue()


def as_json(board: Leaderboard, found: Sequence[Breakdown], kind: Kind, metric: str) -> str:
    """Return the same values as CSV, by row, with the value of the whole row; null for unknown values."""
    rows = [{**dict(zip(ROW, one.cell, strict=True)), **raw(one, kind)} for one in found]
    return json.dumps({"title": board.title, "breakdown": kind, "metric": metric, "rows": rows}, indent=1) + "\n"


def raw(one: Breakdown, kind: Kind) -> dict[str, Any]:
    """Return the breakdown of a row for JSON, without method, task and evaluator."""
    if one.reason:
        return {"reason": one.reason, "parts": []}
    parts = [
        {
            **dict(zip(LABELS[kind], part.label, strict=True)),
            "value": _finite(part.value),
            "queries": part.queries,
            **({} if kind == "camera-pair" else {"share": part.share}),
        }
        for part in one.parts
    ]
    counts = {"queries": one.queries, "dropped": one.dropped, "zeroed": one.zeroed}
    counts |= {"others": one.others} if one.others else {}
    seeds = {"results": one.results, "results_in_all": one.results_in_all}
    more: dict[str, Any] = {"across": one.across} if kind == "camera-pair" else {"parts_in_all": one.parts_in_all}
    return {"reason": None, "value": one.value, **counts, **seeds, **more, "parts": parts}


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


TEXTS = {"md": markdown, "csv": as_csv, "json": as_json}
