"""Print, colour and name the numbers of a metric: as its evaluator declares it, or plainly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reidbench.components import Metric

from .results import Leaderboard, Summary

NAMES = {"cmc1": "R1", "cmc5": "R5", "cmc10": "R10", "cmc20": "R20"}
PLAIN_FROM, PLAIN_TO = 1e3, 1e15  # between them a number is printed as a whole one


def number(value: float, metric: Metric | None, sign: str = "") -> str:
    """A value as text, without its unit: a fraction in % with one decimal, anything else with four digits.

    `sign` is "+" to have one before positive numbers too.
    """
    if is_percent(metric):
        return f"{100 * value:{sign}.1f}"
    whole = PLAIN_FROM <= abs(value) < PLAIN_TO
    return f"{value:{sign}.0f}" if whole else f"{value:{sign}.4g}"


def is_percent(metric: Metric | None) -> bool:
    """Whether the values are fractions that are printed times 100."""
    return metric is not None and metric.unit == "%"


def scaled(value: float, metric: Metric | None) -> float:
    """A value as an axis shows it: in % or in its own unit."""
    return 100 * value if is_percent(metric) else value


def axis(name: str, metric: Metric | None) -> str:
    """The title of an axis: "mAP, %"."""
    unit = metric.unit if metric else ""
    return ", ".join(filter(None, (NAMES.get(name, name), unit)))


def from_zero(metric: Metric | None) -> bool:
    """Whether an axis of this metric begins at 0: where its range does."""
    return metric is not None and metric.ends[0] == 0


def heading(board: Leaderboard, name: str) -> str:
    """A metric with its unit and direction: "mAP in %"; by evaluator where they declare it differently."""
    by_kind: dict[Metric | None, list[str]] = {}
    for evaluator in board.giving(name):
        by_kind.setdefault(board.metric(evaluator, name), []).append(evaluator)
    if len(by_kind) < 2:
        return described(name, next(iter(by_kind))) if by_kind else NAMES.get(name, name)
    return "; ".join(f"{described(name, kind)} ({', '.join(names)})" for kind, names in by_kind.items())


def described(name: str, metric: Metric | None) -> str:
    """A metric with its unit and direction, as one evaluator declares it."""
    label = NAMES.get(name, name)
    if metric is None:
        return f"{label}, shown as it is (its evaluator declares nothing of it: never ranked)"
    unit_words = f" in {metric.unit}" if metric.unit else ""
    return label + unit_words + (", lower is better" if metric.better == "lower" else "")


def own_unit(board: Leaderboard, name: str, evaluator: str) -> str:
    """The unit to print behind a number, where the evaluators of a table have several for this metric."""
    kinds = [board.metric(giving, name) for giving in board.giving(name)]
    return unit(board.metric(evaluator, name)) if len({unit(kind) for kind in kinds}) > 1 else ""


def unit(metric: Metric | None) -> str:
    """The unit with the space before it, or nothing."""
    return f" {metric.unit}" if metric is not None and metric.unit else ""


def all_percent(board: Leaderboard, names: Iterable[str]) -> bool:
    """Whether every evaluator that gives one of these metrics declares fractions in %."""
    return all(is_percent(board.metric(evaluator, name)) for name in names for evaluator in board.giving(name))


def lower_is_better(board: Leaderboard, names: Iterable[str]) -> list[str]:
    """The metrics, as they are printed, of which less is better; with the evaluators, where others differ in that."""
    found = []
    for name in names:
        giving = board.giving(name)
        lower = [e for e in giving if (known := board.metric(e, name)) and known.better == "lower"]
        if lower:
            of = "" if lower == giving else f" by {', '.join(lower)}"
            found.append(NAMES.get(name, name) + of)
    return found


# ---------------------------------------------------------------------- bars and colours
def nearness(values: Mapping[str, float], metric: Metric | None) -> dict[str, float]:
    """Nearness of each value of a column to the best one, from 0 to 1: the colour of a heat map.

    0 is the worse end of the metric's range or, where that is open, the worst value. All 0 for an undeclared metric.
    """
    if metric is None or not values:
        return dict.fromkeys(values, 0.0)
    low, high = metric.ends
    best, worst, end = (
        (max(values.values()), min(values.values()), low)
        if metric.better == "higher"
        else (min(values.values()), max(values.values()), high)
    )
    far = end if math.isfinite(end) else worst
    if best == far:
        return dict.fromkeys(values, 1.0)
    return {name: min(1.0, max(0.0, (value - far) / (best - far))) for name, value in values.items()}


@dataclass(frozen=True)
class Scale:
    """From where to where bars run, in the metric's own values."""

    low: float
    high: float

    def part(self, value: float) -> float:
        """Share of the bar that a value fills, from 0 to 1."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def scale(summaries: Sequence[Summary], metric: Metric | None) -> Scale | None:
    """The ends of the bars that hold these means and intervals; None where there is none, or no declaration."""
    if metric is None or not summaries:
        return None
    least, greatest = metric.ends
    top = max(max(found.mean, found.ci95[1] if found.ci95 else found.mean) for found in summaries)
    bottom = min(min(found.mean, found.ci95[0] if found.ci95 else found.mean) for found in summaries)
    low = least if math.isfinite(least) else min(0.0, -_round_up(-bottom))
    high = min(math.ceil(10 * top) / 10 if is_percent(metric) else _round_up(top), greatest)
    return Scale(low, high if high > low else low + 1)


def _round_up(value: float) -> float:
    """The next number of two digits, or of one below 1: 12.3 to 13, 0.0123 to 0.02."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - (value >= 1))
    return math.ceil(round(value / step, 9)) * step
