"""The table of a comparison: columns and lines as strings for all formats, and as raw values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reidbench.components import Metric
from reidbench.report.units import number

from .cells import Ranks
from .comparison import Comparison
from .sentences import letters

NONE = "–"
NUMBERS = ("mean rank", "95 % interval", "win rate, %", "Borda")


@dataclass(frozen=True)
class Line:
    """A method: summary strings in the order of `headings`, and cells by task."""

    method: str
    summary: tuple[str, ...]
    cells: tuple[str, ...]


def headings(found: Comparison) -> tuple[str, ...]:
    """Return the columns between method and tasks."""
    groups = ("group",) if found.intervals else ()
    return (*NUMBERS, *groups, *(("Nemenyi",) if found.test else ()))


def tasks(found: Comparison) -> tuple[str, ...]:
    """Return the columns of tasks; tasks that are left out are marked."""
    return tuple(task if task in found.tasks else f"{task} (left out)" for task in found.all_tasks)


def lines(found: Comparison, known: Metric | None) -> list[Line]:
    """Return lines by mean rank, then those of methods that are left out."""
    by_draws, by_test = (
        letters(groups, found.methods) for groups in (found.groups, found.test.groups if found.test else None)
    )
    shown = []
    for place in found.order:
        method = found.methods[place]
        interval = found.intervals[place] if found.intervals else None
        summary = [
            f"{found.mean_rank[place]:.2f}",
            f"[{interval.low:.2f}, {interval.high:.2f}]" if interval else NONE,
            f"{100 * found.win_rate[place]:.1f}",
            f"{found.borda[place]:g}",
            *([by_draws[method]] if found.intervals else []),
            *([by_test[method]] if found.test else []),
        ]
        ranks = dict(zip(found.tasks, found.ranks[place].tolist(), strict=True))
        shown.append(Line(method, tuple(summary), _cells(found, method, known, ranks)))
    width = len(headings(found))
    for method in found.all_methods[len(found.methods) :]:
        shown.append(Line(method, (NONE,) * width, _cells(found, method, known, {})))
    return shown


def _cells(found: Comparison, method: str, known: Metric | None, ranks: dict[str, float]) -> tuple[str, ...]:
    texts = []
    for task in found.all_tasks:
        cell = found.cells.get((method, task))
        value = number(cell.value, known) if cell else NONE
        texts.append(f"{ranks[task]:g} ({value})" if task in ranks else value)
    return tuple(texts)


def raw(ranks: Ranks) -> dict[str, Any]:
    """Return all values for JSON; metrics as evaluators gave them."""
    return {
        "metric": ranks.metric,
        "comparisons": [_raw(found) for found in ranks.comparisons],
        "refused": [
            {"evaluator": evaluator, "kind": list(one.kind), "methods": list(one.methods), "why": one.why}
            for evaluator, one in ranks.refused
        ],
    }


def _raw(found: Comparison) -> dict[str, Any]:
    groups: Callable[[Any], Any] = lambda several: None if several is None else [list(one) for one in several]  # noqa: E731
    test = found.test
    return {
        "evaluator": found.evaluator,
        "metric": found.metric,
        "better": found.better,
        "kind": list(found.kind),
        "tasks": list(found.tasks),
        "methods": [_method(found, place) for place in found.order],
        "groups": groups(found.groups),
        "no_intervals": found.no_intervals,
        "test": test
        and {"name": test.name, "p": test.p, "critical_difference": test.difference, "groups": groups(test.groups)},
        "no_test": found.no_test,
        "missing": [{"method": m, "task": t, "why": why} for (m, t), why in found.missing.items()],
        "left_out": [{"what": one.what, "name": one.name, "why": one.why} for one in found.left_out],
        "one_seed": list(found.one_seed),
        "same_images": groups(found.same_images),
    }


def _method(found: Comparison, place: int) -> dict[str, Any]:
    interval = found.intervals[place] if found.intervals else None
    return {
        "method": found.methods[place],
        "mean_rank": float(found.mean_rank[place]),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "win_rate": float(found.win_rate[place]),
        "borda": float(found.borda[place]),
        "ranks": dict(zip(found.tasks, found.ranks[place].tolist(), strict=True)),
        "values": dict(zip(found.tasks, found.values[place].tolist(), strict=True)),
    }
