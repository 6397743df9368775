"""Whether the metrics that an evaluator declares make sense, and whether its numbers fit them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping

from reidbench.components import Metric

BETTER = ("higher", "lower")
NAME = re.compile(r"\w[\w.@+-]*")
COLUMNS = frozenset(
    {"method", "task", "evaluator", "seed", "pretrain_seed", "status", "error", "protocol", "notes", "key"}
)  # of the rows in CSV, where every metric is one more

USUAL = re.compile(r"mAP|mINP|cmc[0-9]+")


def usual(name: str) -> Metric | None:
    """What the field means by mAP, mINP and cmcK: a fraction, whether or not its evaluator declares it."""
    return Metric(name, unit="%", range=(0, 1)) if USUAL.fullmatch(name) else None


def range_fault(values: Mapping[str, float], declared: Mapping[str, Metric]) -> str:
    """The first value that is outside of its declared range, or is no fraction where its name means one; or nothing."""
    for name, value in values.items():
        if name in declared:
            fault = declared[name].fault(value)
        elif (metric := usual(name)) and metric.fault(value):
            fault = f"{name} {value:.6g}, which must be a fraction from 0 to 1: 63.4 % is 0.634"
        else:
            fault = ""
        if fault:
            return fault
    return ""


def stored_fault(metrics: object, declared: Mapping[str, Metric]) -> str:
    """Why these cannot be the numbers of an evaluator, as they come out of a store that anybody may have written."""
    if not isinstance(metrics, dict) or not all(map(_is_finite, metrics.values())):
        return "something else than finite numbers"
    return range_fault(metrics, declared)


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf  # type: ignore[arg-type]


def metrics_fault(kind: str, metrics: object) -> str:
    """What is wrong with the `metrics` of a component of that kind, or nothing."""
    if not isinstance(metrics, tuple | list) or not all(isinstance(metric, Metric) for metric in metrics):
        return f"metrics must be a tuple of reidbench.Metric, not {metrics!r}"
    if metrics and kind != "evaluator":
        return f"only evaluators declare metrics, and this is a {kind}"
    names = [metric.name for metric in metrics]
    twice = [name for name in names if names.count(name) > 1]
    faults = (fault for metric in metrics if (fault := _fault(metric)))
    return f"metric {twice[0]!r} is declared twice" if twice else next(faults, "")


def _fault(metric: Metric) -> str:
    what = f"metric {metric.name!r}"
    if not isinstance(metric.name, str) or not NAME.fullmatch(metric.name):
        return f"{what} must have a name of letters, digits, '_', '-', '.', '@' and '+'"
    if metric.name in COLUMNS:
        return f"{what} has the name of a column that every table has; choose another"
    if metric.better not in BETTER:
        near = difflib.get_close_matches(str(metric.better), BETTER, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{what}: better {metric.better!r} must be 'higher' or 'lower'{hint}"
    if not isinstance(metric.unit, str) or not metric.unit.isprintable():
        return f"{what}: unit {metric.unit!r} must be a word, like '%' or 'rank', or empty"
    return _range_fault(metric)


def _range_fault(metric: Metric) -> str:
    what = f"metric {metric.name!r}: range {metric.range!r}"
    if not isinstance(metric.range, tuple) or len(metric.range) != 2 or not all(map(_is_end, metric.range)):
        return f"{what} must be (lowest, highest), each a finite number or None"
    low, high = metric.ends
    if low >= high:
        return f"{what} must begin below its end"
    if metric.unit == "%" and math.isfinite(high) and high > 1:
        return (
            f"{what} does not fit the unit '%', which marks fractions: 63.4 % is the value 0.634, and the range (0, 1)"
        )
    return ""


def _is_end(end: object) -> bool:
    return end is None or (isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end))
