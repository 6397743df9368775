"""Format, scale and name values of a metric as its evaluator declares it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reidbench.components import Metric

from .results import Leaderboard, Summary

NAMES = {"cmc1": "R1", "cmc5": "R5", "cmc10": "R10", "cmc20": "R20"}
PLAIN_FROM, PLAIN_TO = 1e3, 1e15  # numbers in this range are printed without decimals


def number(value: float, metric: Metric | None, sign: str = "") -> str:
    """Return a value as text without unit: fractions in % with one decimal, others with four digits.

    `sign` "+" adds a sign to positive numbers.
    """
    if is_percent(metric):
        return f"{100 * value:{sign}.1f}"
    whole = PLAIN_FROM <= abs(value) < PLAIN_TO
    return f"{value:{sign}.0f}" if whole else f"{value:{sign}.4g}"


def is_percent(metric: Metric | None) -> bool:
    """Return whether values are fractions printed in %."""
    return metric is not None and metric.unit == "%"


def scaled(value: float, metric: Metric | None) -> float:
    """Return a value as shown on an axis: in % or in its own unit."""
    return 100 * value if is_percent(metric) else value


def axis(name: str, metric: Metric | None) -> str:
    """Return the title of an axis, such as "mAP, %"."""
    unit = metric.unit if metric else ""
    return ", ".join(filter(None, (NAMES.get(name, name), unit)))


def from_zero(metric: Metric | None) -> bool:
    """Return whether an axis of this metric starts at 0, as its range does."""
    return metric is not None and metric.ends[0] == 0


def heading(board: Leaderboard, name: str) -> str:
    """Return a metric with unit and direction, such as "mAP in %"; by evaluator if declarations differ."""
    by_kind: dict[Metric | None, list[str]] = {}
    for evaluator in board.giving(name):
        by_kind.setdefault(board.metric(evaluator, name), []).append(evaluator)
    if len(by_kind) < 2:
        return described(name, next(iter(by_kind))) if by_kind else NAMES.get(name, name)
    return "; ".join(f"{described(name, kind)} ({', '.join(names)})" for kind, names in by_kind.items())


def described(name: str, metric: Metric | None) -> str:
    """Return a metric with unit and direction, as one evaluator declares it."""
    label = NAMES.get(name, name)
    if metric is None:
        return f"{label}, unscaled (its evaluator does not declare it: never ranked)"
    unit_words = f" in {metric.unit}" if metric.unit else ""
    return label + unit_words + (", lower is better" if metric.better == "lower" else "")


def own_unit(board: Leaderboard, name: str, evaluator: str) -> str:
    """Return the unit to print after a number if the evaluators of a table use several for this metric, else ""."""
    kinds = [board.metric(giving, name) for giving in board.giving(name)]
    return unit(board.metric(evaluator, name)) if len({unit(kind) for kind in kinds}) > 1 else ""


def unit(metric: Metric | None) -> str:
    """Return the unit after a space, or ""."""
    return f" {metric.unit}" if metric is not None and metric.unit else ""


def all_percent(board: Leaderboard, names: Iterable[str]) -> bool:
    """Return whether all evaluators that give these metrics declare fractions in %."""
    return all(is_percent(board.metric(evaluator, name)) for name in names for evaluator in board.giving(name))


def lower_is_better(board: Leaderboard, names: Iterable[str]) -> list[str]:
    """Return the printed names of metrics where lower is better, with evaluators if only some declare it."""
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
    """Return the closeness of each value of a column to the best, from 0 to 1, as the colour of a heat map.

    0 is the worse end of the metric's range, or the worst value if the range is open. All 0 for an undeclared metric.
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
    """Ends of bars, in the metric's own values."""

    low: float
    high: float

    def part(self, value: float) -> float:
        """Return the share of the bar that a value fills, from 0 to 1."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def scale(summaries: Sequence[Summary], metric: Metric | None) -> Scale | None:
    """Return the ends of bars for these means and intervals; None if there are none or the metric is undeclared."""
    if metric is None or not summaries:
        return None
    least, greatest = metric.ends
    top = max(max(found.mean, found.ci95[1] if found.ci95 else found.mean) for found in summaries)
    bottom = min(min(found.mean, found.ci95[0] if found.ci95 else found.mean) for found in summaries)
    low = least if math.isfinite(least) else min(0.0, -_round_up(-bottom))
    high = min(math.ceil(10 * top) / 10 if is_percent(metric) else _round_up(top), greatest)
    return Scale(low, high if high > low else low + 1)


def _round_up(value: float) -> float:
    """Round up to two digits, or to one digit below 1: 12.3 to 13, 0.0123 to 0.02."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - (value >= 1))
    return math.ceil(round(value / step, 9)) * step
