"""Cells with their published numbers as Markdown, CSV, JSON or LaTeX: never bold, in file order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from reidbench.registry.published import percent
from reidbench.report.claims.expected import Held
from reidbench.report.results import Leaderboard
from reidbench.report.units import NAMES, number

from .latex import escape
from .sentences import counted, of_seeds, status_word
from .tables import one_line, plain, table, visible

COLUMNS = (
    "method", "task", "metric", "published", "measured", "n", "low", "high", "difference", "comparable", "evaluator",
    "status", "rules", "component", "row", "source",
)  # fmt: skip
HEADERS = ["method", "task", "metric", "published", "measured", "difference", "evaluator", "published row"]
INTRODUCTION = "Published and measured numbers in %: mean over seeds [95 % interval of the mean]."
APART = "not comparable"
BECAUSE = "Not comparable because of"


def markdown(board: Leaderboard, found: Sequence[Held]) -> str:
    """Return a table of all metrics of the cells, and the rules that make numbers incomparable."""
    reasons = reasons_of(found)
    rows = [cells(board, one, reasons) for one in found]
    parts = [f"# {one_line(board.title)}", "", INTRODUCTION, "", table(HEADERS, rows), ""]
    if reasons:
        parts += [f"{BECAUSE}:", "", *(f"{place}. {one_line(rule)}" for rule, place in reasons.items()), ""]
    return "\n".join(parts)


def latex(board: Leaderboard, found: Sequence[Held]) -> str:
    """Return a `table` with one line per metric and cell; rules and published rows as comments. Requires booktabs."""
    reasons = reasons_of(found)
    comments = [f"% {BECAUSE} {place}: {visible(rule)}" for rule, place in reasons.items()]
    rows = [f"% {one.cell.method} on {one.cell.task}: {one.number.row} ({one.number.source})" for one in found]
    lines = [
        r"% \usepackage[T1]{fontenc} \usepackage{booktabs,textcomp}",
        *map(visible, dict.fromkeys(rows)),
        *comments,
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(f'{board.title}. {INTRODUCTION}')}}}",
        rf"\begin{{tabular}}{{lll{'r' * 3}l}}",
        r"\toprule",
        _line(header.capitalize() for header in HEADERS[:-1]),
        r"\midrule",
        *(_line(cells(board, one, reasons)[:-1]) for one in found),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Iterator[str] | list[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def reasons_of(found: Sequence[Held]) -> dict[str, int]:
    """Return all rules that differ, numbered from 1."""
    return {rule: place for place, rule in enumerate(dict.fromkeys(rule for one in found for rule in one.rules), 1)}


def cells(board: Leaderboard, one: Held, reasons: dict[str, int]) -> list[str]:
    """Return the strings of a line, in the order of `HEADERS`."""
    metric = NAMES.get(one.number.metric, one.number.metric)
    place = [one.cell.method, one.cell.task, metric, percent(one.number.metric, one.number.value)]
    row = f"{one.number.row} ({one.number.source})"
    return [*place, measured(board, one), difference(board, one, reasons), one.evaluator, row]


def measured(board: Leaderboard, one: Held) -> str:
    """Return the measured mean with interval and number of seeds, its status, or "-" if nothing was run."""
    if one.summary is None:
        word = status_word(one.results)
        return "-" if word == "missing" else word
    known = board.metric(one.evaluator, one.number.metric)
    low_high = [number(end, known) for end in one.summary.ci95 or ()]
    said = of_seeds(one.summary, one.results) or counted(one.summary)
    interval = f" [{', '.join(low_high)}]" if low_high else ""
    return f"{number(one.summary.mean, known)}{interval} ({said})"


def difference(board: Leaderboard, one: Held, reasons: dict[str, int]) -> str:
    """Return measured minus published, and the numbers of the rules that make them incomparable."""
    known = board.metric(one.evaluator, one.number.metric)
    text = "-" if one.difference is None else number(one.difference, known, "+")
    places = ", ".join(str(reasons[rule]) for rule in one.rules)
    return f"{text} ({APART}: {places})" if places else text


def as_csv(board: Leaderboard, found: Sequence[Held]) -> str:
    """Return one line per metric and cell; values are fractions, as evaluators give them."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        values = {**_values(one), "rules": "; ".join(one.rules)}
        writer.writerow(_field(values[column]) for column in COLUMNS)
    return stream.getvalue()


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return plain(value)
    return "" if value is None else repr(value)


def as_json(board: Leaderboard, found: Sequence[Held]) -> str:
    """Return the same values as CSV; null for values that were not measured."""
    return json.dumps({"title": board.title, "published": [_values(one) for one in found]}, indent=1) + "\n"


def _values(one: Held) -> dict[str, Any]:
    low, high = (one.summary and one.summary.ci95) or (None, None)
    states = {result.status for result in one.results}
    values = (
        one.cell.method, one.cell.task, one.number.metric, one.number.value, one.summary and one.summary.mean,
        one.summary and one.summary.results, low, high, one.difference, not one.rules, one.evaluator,
        "ok" if "ok" in states else next(iter(states), "missing"), list(one.rules), one.cell.component,
        one.number.row, one.number.source,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


TEXTS = {"md": markdown, "csv": as_csv, "json": as_json, "latex": latex}
