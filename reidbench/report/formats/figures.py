"""Charts as PNG and SVG files: CMC curves, accuracy against training time, heat maps, ranks over tasks.

Drawn by matplotlib, because plotly exports images only through a browser. The same store gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidbench.errors import ReidbenchError
from reidbench.report.provenance import Evidence
from reidbench.report.ranks.cells import ranks_of
from reidbench.report.ranks.diagram import Diagram, diagram
from reidbench.report.results import Leaderboard
from reidbench.report.units import axis, described, from_zero, nearness, number, scaled

from .curves import costs, curves
from .extras import require
from .tables import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ("-", "--", ":", "-.")
MARKERS = "osD^PvX*"
COLOURS = ("#0b5cad", "#b34700", "#1a7f37", "#8250df", "#b42371", "#6b5900", "#00737d", "#57606a")
SETTINGS: dict[str, Any] = {
    "text.parse_math": False,  # dollar signs in names are not maths
    "svg.hashsalt": "reidbench",
    "font.size": 10,
    "axes.grid": True,
    "grid.color": "#d0d7de",
    "axes.axisbelow": True,
    "savefig.bbox": "tight",
    "savefig.dpi": 150,
}


def draw(board: Leaderboard, evidence: Evidence, folder: Path, metric: str = "mAP") -> list[Path]:
    """Write all figures with data to `folder` and return the files.

    Raises ReidbenchError if the folder cannot be written or the extra `report` is not installed.
    """
    require("drawing figures", "matplotlib")
    import matplotlib as mpl

    written = []
    settings: dict[Any, Any] = {**mpl.rcParamsDefault, **SETTINGS}  # without the user's own style
    with mpl.rc_context(settings):
        for name, figure in _figures(board, evidence, metric):
            for form in ("png", "svg"):
                file = folder / f"{name}.{form}"
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    figure.savefig(file, metadata={"Date": None} if form == "svg" else {"Software": None})
                except OSError as error:
                    raise ReidbenchError(f"{file}: cannot be written: {error.strerror}") from None
                written.append(file)
    return written


def _figures(board: Leaderboard, evidence: Evidence, metric: str) -> Iterator[tuple[str, Figure]]:
    names = _Names()
    for task in board.tasks:
        for evaluator in board.evaluators:
            place = (task, evaluator) if len(board.evaluators) > 1 else (task,)
            yield from _named(names("cmc", *place), _cmc(board, evidence, task, evaluator))
            yield from _named(names("seconds", *place), _cost(board, evidence, task, evaluator, metric))
    for evaluator in board.evaluators:
        suffix = [evaluator] if len(board.evaluators) > 1 else []
        yield from _named(names("heatmap", *suffix), _heat(board, evaluator, metric))
    for found in (board.ranks or ranks_of(board, metric)).comparisons:
        suffix = [found.evaluator] if len(board.evaluators) > 1 else []
        yield names("ranks", *suffix, *found.kind), _ranks(diagram(found))


def _named(name: str, figure: Figure | None) -> Iterator[tuple[str, Figure]]:
    if figure is not None:
        yield name, figure


class _Names:
    """File names from names of tasks and evaluators; different names give different files."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def __call__(self, *parts: str) -> str:
        plain = ["-".join(re.findall(r"[a-z0-9.]+", part.lower().replace("->", "-to-")))[:60] or "x" for part in parts]
        name, number = "_".join(plain), 2
        while name in self.taken:
            name, number = "_".join([*plain, str(number)]), number + 1
        self.taken.add(name)
        return name


def _axes(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.set_title(visible(title), fontsize=10)
    return figure, axes


def _look(board: Leaderboard, method: str) -> dict[str, Any]:
    """Return a method's colour, marker and label, the same in all figures."""
    number = board.methods.index(method)
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "label": label(method)}


def _cmc(board: Leaderboard, evidence: Evidence, task: str, evaluator: str) -> Figure | None:
    drawn = curves(board, evidence, task, evaluator)
    if not drawn:
        return None
    figure, axes = _axes(6, 4, f"{task}, {evaluator}")
    for curve in drawn:
        look = _look(board, curve.method)
        style = LINES[board.methods.index(curve.method) // 2 % len(LINES)]
        values = [100 * value for value in curve.values]
        axes.plot(curve.ranks, values, linestyle=style, markevery=5, markersize=4, linewidth=1.4, **look)
    axes.set(xlabel="rank", ylabel="queries with a true match, %", ylim=(0, 102))
    _legend(axes)
    return figure


def _cost(board: Leaderboard, evidence: Evidence, task: str, evaluator: str, metric: str) -> Figure | None:
    spent = costs(board, evidence, task, evaluator, metric)
    if not spent:
        return None
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = _axes(6, 4, f"{task}, {evaluator}")
    known = board.metric(evaluator, metric)
    for cost in spent:
        mean, interval = cost.summary.mean, cost.summary.ci95
        sides = [[scaled(mean - interval[0], known)], [scaled(interval[1] - mean, known)]] if interval else None
        look = _look(board, cost.method)
        axes.errorbar([cost.amount], [scaled(mean, known)], yerr=sides, linestyle="none", capsize=3, **look)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="training, seconds", ylabel=visible(axis(metric, known)))
    if from_zero(known):
        axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False)


def _heat(board: Leaderboard, evaluator: str, metric: str) -> Figure | None:
    import numpy as np

    known = board.metric(evaluator, metric)
    cells = {m: {t: board.summarised(m, t, evaluator).get(metric) for t in board.tasks} for m in board.methods}
    means = {m: {t: cell.mean for t, cell in row.items() if cell} for m, row in cells.items()}
    if not any(means.values()):
        return None
    near = {t: nearness({m: row[t] for m, row in means.items() if t in row}, known) for t in board.tasks}
    colours = np.array([[near[task].get(method, np.nan) for task in board.tasks] for method in board.methods])
    said = "; colour: closeness to the best of the column" if known else ""
    figure, axes = _axes(
        2 + 1.1 * len(board.tasks), 1 + 0.36 * len(board.methods), f"{described(metric, known)}, {evaluator}{said}"
    )
    axes.grid(visible=False)
    axes.imshow(colours, cmap="Blues", vmin=0, vmax=2, aspect="auto")  # 2: black text stays legible
    for row, method in enumerate(board.methods):
        for column, task in enumerate(board.tasks):
            text = number(means[method][task], known) if task in means[method] else "–"
            axes.text(column, row, text, ha="center", va="center", fontsize=9)
    axes.set_xticks(range(len(board.tasks)), [visible(task) for task in board.tasks], rotation=30, ha="right")
    axes.set_yticks(range(len(board.methods)), [visible(method) for method in board.methods])
    return figure


def _ranks(shown: Diagram) -> Figure:
    """Draw one row per method: mean rank and interval; bars at the right join rows that do not differ significantly."""
    figure, axes = _axes(7, 1.4 + 0.3 * len(shown.rows), "")
    axes.set_title("\n".join(map(visible, (shown.title, shown.description))), fontsize=8, wrap=True)
    places = range(len(shown.rows))
    for place, row in enumerate(shown.rows):
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], color=COLOURS[0], linewidth=2.5, alpha=0.6)
    axes.plot([row.rank for row in shown.rows], places, "o", color=COLOURS[0], clip_on=False)
    past = shown.last + 0.04 * (shown.last - 1)
    for bar in shown.bars:
        x = past + 0.025 * (shown.last - 1) * bar.lane
        axes.plot([x, x], [bar.first, bar.last], color="black", linewidth=1, clip_on=False)
        for first, last in bar.runs:
            axes.plot([x, x], [first - 0.3, last + 0.3], color="black", linewidth=3, clip_on=False)
    if shown.difference is not None:
        axes.errorbar([1 + shown.difference / 2], [-1], xerr=shown.difference / 2, color="black", capsize=4)
    axes.set_xticks(shown.ticks)
    axes.set_yticks(places, [visible(row.shown) for row in shown.rows])
    axes.set(
        xlabel="mean rank",
        xlim=(1 - 0.03 * (shown.last - 1), shown.last),
        ylim=(len(shown.rows) - 0.5, -0.5 if shown.difference is None else -1.6),
    )
    return figure


def label(text: str) -> str:
    """Return a name for a legend, which would hide a leading underscore."""
    shown = visible(text)
    return f"\u200a{shown}" if shown.startswith("_") else shown
