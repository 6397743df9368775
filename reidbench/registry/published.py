"""Published numbers: whether a plugin's are well formed, and how they are printed, line by line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args, get_type_hints

from reidbench.components import Paper, Published

RULES = get_args(get_type_hints(Published)["ap"])  # of average precision
# A data set by the name of its component, with the parameters that make it another set.
_SET = r"[a-z0-9]+(?:-[a-z0-9]+)*(?:\([a-z_0-9]+=[^(),=]+(?:, [a-z_0-9]+=[^(),=]+)*\))?"
TASK = re.compile(rf"(?:{_SET}(?:\+{_SET})*->)?{_SET}")
DISTANCE = "distance"  # metrics whose names begin so are no fractions
RANK = re.compile(r"(?:r|rank|top|cmc)[-_@ ]?(\d+)", re.IGNORECASE)


def complaint(paper: object) -> str:
    """What is wrong with the paper of a component, and how to mend it; "" when nothing is."""
    if paper is None:
        return ""
    if not isinstance(paper, Paper):
        return f"paper must be a reidbench.Paper, not {paper!r}"
    numbers = paper.published
    if isinstance(numbers, str) or not isinstance(numbers, Sequence):
        return (
            f"paper.published must be a sequence of reidbench.Published, not {type(numbers).__name__}: "
            "give Published(metric, value, task, row, source, ap) for each number"
        )
    for place, number in enumerate(numbers):
        wrong = _complaint(number)
        if wrong:
            return f"paper.published[{place}]{wrong}"
    return _twice(numbers)


def _complaint(number: object) -> str:
    if not isinstance(number, Published):
        return f" must be a reidbench.Published, not {number!r}"
    for name in ("metric", "task", "row", "source", "ap", "note"):
        text = getattr(number, name)
        if not isinstance(text, str) or not (text.strip() or name == "note"):
            return f".{name} must be text, not {text!r}"
    wrong = _wrong_metric(number.metric) or _wrong_value(number)
    if not wrong and not TASK.fullmatch(number.task):
        wrong = (
            f".task {number.task!r} must be TARGET or SOURCE->TARGET in the names of data sets' components, "
            "such as market1501 or market1501->dukemtmc-reid"
        )
    if not wrong and number.ap not in RULES:
        wrong = f".ap {number.ap!r} must be one of {', '.join(RULES)}"
    if not wrong and not isinstance(number.beside, bool):
        wrong = f".beside must be True or False, not {number.beside!r}"
    return wrong


def _wrong_metric(metric: str) -> str:
    """A metric that no evaluator of ours gives under this name would silently never stand beside a row."""
    rank = RANK.fullmatch(metric)
    right = f"cmc{int(rank[1])}" if rank else {"map": "mAP", "minp": "mINP"}.get(metric.lower(), metric)
    return f".metric {metric!r}: write {right}" if right != metric else ""


def _wrong_value(number: Published) -> str:
    value = number.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f".value must be a number, not {value!r}"
    if not number.metric.startswith(DISTANCE) and not 0 <= value <= 1:
        cure = f": write {round(value / 100, 6)}" if 1 < value <= 100 else ""
        return f".value {value!r} of {number.metric} must be a fraction from 0 to 1{cure}"
    return ""


def _twice(numbers: Sequence[Published]) -> str:
    seen: set[tuple[str, ...]] = set()
    for number in numbers:
        key = (number.metric, number.task, number.row, number.source)
        if key in seen:
            return f"paper.published gives {number.metric} of {number.row!r} on {number.task} twice from one source"
        seen.add(key)
    return ""


@dataclass(frozen=True)
class Line:
    """Published numbers that stand in one line: all but metric and value is the same; `first` is one of them."""

    first: Published
    values: dict[str, float]  # by metric

    def rule(self) -> str:
        """The rule of average precision, or "" where no average precision is among the numbers."""
        return self.first.ap if "mAP" in self.values else ""


def lines(numbers: Sequence[Published]) -> list[Line]:
    """Published numbers line by line, in the order given."""
    found: dict[tuple[object, ...], Line] = {}
    for number in numbers:
        key = (number.task, number.row, number.source, number.ap, number.note, number.beside)
        found.setdefault(key, Line(number, {})).values[number.metric] = number.value
    return list(found.values())


def percent(metric: str, value: float) -> str:
    """A published value with the digits that were published, fractions in %."""
    if metric.startswith(DISTANCE):
        return f"{value:g}"
    whole, _, digits = f"{100 * value:.4f}".partition(".")
    return f"{whole}.{digits.rstrip('0') or '0'}"


def table(numbers: Sequence[Published], names: dict[str, str]) -> list[str]:
    """Published numbers as text tables, one for each set of metrics, with a line between them.

    `names` are the words by which metrics are printed.
    """
    from tabulate import tabulate

    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines(numbers):
        groups.setdefault(tuple(line.values), []).append(line)
    texts: list[str] = []
    for metrics, members in groups.items():
        rows = [
            [
                line.first.task,
                line.first.row,
                *(percent(metric, line.values[metric]) for metric in metrics),
                line.rule() or "-",
                line.first.source,
                line.first.note,
            ]
            for line in members
        ]
        headers = ["task", "row", *(names.get(metric, metric) for metric in metrics), "AP rule", "source", "note"]
        texts += ["", *tabulate(rows, headers, "simple", disable_numparse=True).splitlines()]
    return texts[1:]
