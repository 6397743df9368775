"""The charts of the page as plotly figures: numbers and names, to which the page gives colours."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.components import Metric
from reidbench.report.curves import Cost, Curve, costs, curves
from reidbench.report.formats.tables import visible
from reidbench.report.provenance import Evidence
from reidbench.report.results import Leaderboard
from reidbench.report.units import NAMES, axis, from_zero, number, scaled, unit

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "x")
DASHES = ("solid", "dash", "dot", "dashdot")


def charts(board: Leaderboard, evidence: Evidence, metric: str) -> dict[str, Any]:
    """CMC and cost figures by "TASK-EVALUATOR" (their numbers), without those that nothing can be drawn in."""
    found: dict[str, Any] = {}
    style = {method: number for number, method in enumerate(board.methods)}
    for t, task in enumerate(board.tasks):
        for e, evaluator in enumerate(board.evaluators):
            drawn = curves(board, evidence, task, evaluator)
            spent = costs(board, evidence, task, evaluator, metric)
            figures = {"cmc": _cmc_figure(drawn, style)} if drawn else {}
            figures |= {"cost": _cost_figure(spent, style, board.metric(evaluator, metric), metric)} if spent else {}
            if figures:
                found[f"{t}-{e}"] = figures
    return found


def text(name: str) -> str:
    """Text for plotly, which takes some HTML for markup."""
    return html.escape(visible(name), quote=False)


def _trace(number: int) -> dict[str, Any]:
    """Marks that tell methods apart without colour; the page gives the colour, by number."""
    return {"symbol": SYMBOLS[number % len(SYMBOLS)], "dash": DASHES[number // 2 % len(DASHES)]}


def _cmc_figure(drawn: Sequence[Curve], style: Mapping[str, int]) -> dict[str, Any]:
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": None, "hovermode": "closest"})
    for curve in drawn:
        look = _trace(style[curve.method])
        figure.add_scatter(
            x=list(curve.ranks),
            y=[round(100 * value, 3) for value in curve.values],
            name=text(curve.method),
            mode="lines" if len(curve.ranks) > 10 else "lines+markers",
            line={"dash": look["dash"], "width": 2},
            meta=style[curve.method],
            hovertemplate="rank %{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title="rank", range=[0.5, max(curve.ranks[-1] for curve in drawn) + 0.5])
    figure.update_yaxes(title="queries with a true match, %", range=[0, 101])
    return json.loads(figure.to_json())  # type: ignore[no-any-return]


def _cost_figure(spent: Sequence[Cost], style: Mapping[str, int], metric: Metric | None, name: str) -> dict[str, Any]:
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": None, "hovermode": "closest"})
    for cost in spent:
        mean = cost.summary.mean
        low, high = cost.summary.ci95 or (mean, mean)
        value = f"{number(mean, metric)}{unit(metric)}"
        figure.add_scatter(
            x=[round(max(cost.seconds, 0.01), 2)],
            y=[_digits(scaled(mean, metric))],
            error_y={
                "array": [_digits(scaled(high - mean, metric))],
                "arrayminus": [_digits(scaled(mean - low, metric))],
                "symmetric": False,
            },
            name=text(cost.method),
            mode="markers",
            marker={"symbol": _trace(style[cost.method])["symbol"], "size": 11},
            meta=style[cost.method],
            hovertemplate=f"%{{x}} s, {text(NAMES.get(name, name))} {text(value)}<extra>%{{fullData.name}}</extra>",
        )
    figure.update_xaxes(title="training, seconds (log)", type="log")
    figure.update_yaxes(title=text(axis(name, metric)), rangemode="tozero" if from_zero(metric) else "normal")
    return json.loads(figure.to_json())  # type: ignore[no-any-return]


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
