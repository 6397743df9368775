"""Charts of the page as plotly.js data; the page adds colours."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from reidbench.components import Metric
from reidbench.report.efficiency import Column
from reidbench.report.formats.curves import Cost, Curve, costs, curves, efficiency_costs
from reidbench.report.formats.tables import visible
from reidbench.report.provenance import Evidence
from reidbench.report.results import Leaderboard
from reidbench.report.units import NAMES, axis, from_zero, number, scaled, unit

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "x")
SECONDS = Column("training", "seconds", "training time without start-up", measured=True)
DASHES = ("solid", "dash", "dot", "dashdot")


def charts(board: Leaderboard, evidence: Evidence, metric: str) -> dict[str, Any]:
    """Return CMC and cost figures by "TASK-EVALUATOR" (their numbers), without empty ones.

    Costs are training seconds and the efficiency columns, by name. "template" is the shared part of all layouts.
    """
    found: dict[str, Any] = {}
    style = {method: number for number, method in enumerate(board.methods)}
    for t, task in enumerate(board.tasks):
        for e, evaluator in enumerate(board.evaluators):
            drawn = curves(board, evidence, task, evaluator)
            spent = costs(board, evidence, task, evaluator, metric)
            figures = {"cmc": _cmc_figure(drawn, style)} if drawn else {}
            known = board.metric(evaluator, metric)
            figures |= {"cost": _cost_figure(spent, style, known, metric, SECONDS)} if spent else {}
            for column in board.efficiency.columns if board.efficiency else ():
                points = efficiency_costs(board, task, evaluator, metric, column)
                figures |= {column.name: _cost_figure(points, style, known, metric, column)} if points else {}
            if figures:
                found[f"{t}-{e}"] = figures
    return {**found, "template": _template()} if found else {}


def text(name: str) -> str:
    """Escape text for plotly, which renders some HTML."""
    return html.escape(visible(name), quote=False)


def _trace(number: int) -> dict[str, Any]:
    """Return symbol and dash of a method, which distinguish it without colour; the page adds the colour by number."""
    return {"symbol": SYMBOLS[number % len(SYMBOLS)], "dash": DASHES[number // 2 % len(DASHES)]}


def _cmc_figure(drawn: Sequence[Curve], style: Mapping[str, int]) -> dict[str, Any]:
    lines = []
    for curve in drawn:
        line = {
            "x": list(curve.ranks),
            "y": [round(100 * value, 3) for value in curve.values],
            "mode": "lines" if len(curve.ranks) > 10 else "lines+markers",
            "line": {"dash": _trace(style[curve.method])["dash"], "width": 2},
            "hovertemplate": "rank %{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
        }
        lines.append(_scatter(curve.method, style, line))
    last = max(curve.ranks[-1] for curve in drawn)
    return _figure(
        lines,
        {"title": {"text": "rank"}, "range": [0.5, last + 0.5]},
        {"title": {"text": "queries with a true match, %"}, "range": [0, 101]},
    )


def _cost_figure(
    spent: Sequence[Cost], style: Mapping[str, int], metric: Metric | None, name: str, axis_of: Column
) -> dict[str, Any]:
    points = []
    for cost in spent:
        mean = cost.summary.mean
        low, high = cost.summary.ci95 or (mean, mean)
        value = f"{number(mean, metric)}{unit(metric)}"
        point = {
            "x": [_digits(cost.amount * axis_of.scale)],
            "y": [_digits(scaled(mean, metric))],
            "error_y": {
                "array": [_digits(scaled(high - mean, metric))],
                "arrayminus": [_digits(scaled(mean - low, metric))],
                "symmetric": False,
            },
            "mode": "markers",
            "marker": {"symbol": _trace(style[cost.method])["symbol"], "size": 11},
            "hovertemplate": f"%{{x}} {axis_of.printed}, {text(NAMES.get(name, name))} {text(value)}"
            "<extra>%{fullData.name}</extra>",
        }
        points.append(_scatter(cost.method, style, point))
    return _figure(
        points,
        _amounts_axis(spent, axis_of),
        {"title": {"text": text(axis(name, metric))}, "rangemode": "tozero" if from_zero(metric) else "normal"},
    )


def _amounts_axis(spent: Sequence[Cost], column: Column) -> dict[str, Any]:
    """Return the axis of a cost, logarithmic if all costs are positive."""
    if all(cost.amount > 0 for cost in spent):
        return {"title": {"text": f"{text(column.heading)} (log)"}, "type": "log"}
    return {"title": {"text": text(column.heading)}, "rangemode": "tozero"}


def _scatter(method: str, style: Mapping[str, int], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trace of a method; the page chooses its colour by `meta`."""
    return {"type": "scatter", "name": text(method), "meta": style[method], **more}


def _figure(traces: Sequence[Mapping[str, Any]], xaxis: Mapping[str, Any], yaxis: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure as plotly.js data. plotly's own classes would take a millisecond per trace to validate."""
    return {"data": traces, "layout": {"hovermode": "closest", "xaxis": xaxis, "yaxis": yaxis}}


@cache
def _template() -> dict[str, Any]:
    """Return plotly's default template."""
    import plotly.graph_objects as go

    found: dict[str, Any] = json.loads(go.Figure().to_json())["layout"]["template"]
    return found


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
