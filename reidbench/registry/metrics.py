"""Validation of declared metrics, and of an evaluator's values against them."""

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
)  # columns of the CSV rows, where each metric adds a column

USUAL = re.compile(r"mAP|mINP|cmc[0-9]+")


def usual(name: str) -> Metric | None:
    """Return the usual definition of mAP, mINP and cmcK, fractions whether or not the evaluator declares them."""
    return Metric(name, unit="%", range=(0, 1)) if USUAL.fullmatch(name) else None


def range_fault(values: Mapping[str, float], declared: Mapping[str, Metric]) -> str:
    """Return the error about the first value outside its declared range, or not a fraction where its name implies one;
    or "".
    """
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
    """Return the reason why values from a store, which is untrusted, cannot be an evaluator's metrics; or ""."""
    if not isinstance(metrics, dict) or not all(map(_is_finite, metrics.values())):
        return "values other than finite numbers"
    return range_fault(metrics, declared)


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf  # type: ignore[arg-type]


def metrics_fault(kind: str, metrics: object) -> str:
    """Return the error in the `metrics` of a component of that kind, or ""."""
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
        return f"{what} has the name of a column of every table; choose another"
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
        return f"{what} must have its lower end first"
    if metric.unit == "%" and math.isfinite(high) and high > 1:
        return (
            f"{what} does not fit the unit '%', which marks fractions: 63.4 % is the value 0.634, and the range (0, 1)"
        )
    return ""


def _is_end(end: object) -> bool:
    return end is None or (isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end))
