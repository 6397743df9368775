"""Published numbers: validation and printing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args, get_type_hints

from reidbench import words
from reidbench.components import Paper, Published

RULES = get_args(get_type_hints(Published)["ap"])  # of average precision
# Data set by the name of its component, with parameters that change its content.
_SET = r"[a-z0-9]+(?:-[a-z0-9]+)*(?:\([a-z_0-9]+=[^(),=]+(?:, [a-z_0-9]+=[^(),=]+)*\))?"
TASK = re.compile(rf"(?:{_SET}(?:\+{_SET})*->)?{_SET}")
DISTANCE = "distance"  # prefix of metrics that are not fractions
RANK = re.compile(r"(?:r|rank|top|cmc)[-_@ ]?(\d+)", re.IGNORECASE)


def complaint(paper: object) -> str:
    """Return the error in the paper of a component, with a fix; "" if there is none."""
    if paper is None:
        return ""
    if not isinstance(paper, Paper):
        return f"paper must be a reidbench.Paper, not {paper!r}"
    numbers = paper.published
    if isinstance(numbers, str) or not isinstance(numbers, Sequence):
        return (
            f"paper.published must be a sequence of reidbench.Published, not {type(numbers).__name__}: "
            "write Published(metric, value, task, row, source, ap) for each number"
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
            f".task {number.task!r} must be TARGET or SOURCE->TARGET with names of dataset components, "
            "such as market1501 or market1501->dukemtmc-reid"
        )
    if not wrong and number.ap not in RULES:
        wrong = f".ap {number.ap!r} must be one of {', '.join(RULES)}"
    if not wrong and not isinstance(number.beside, bool):
        wrong = f".beside must be True or False, not {number.beside!r}"
    return wrong or _wrong_rules(number.rules)


def _wrong_rules(rules: object) -> str:
    if not isinstance(rules, tuple) or not all(isinstance(word, str) for word in rules):
        return f".rules {rules!r} must be a tuple of words, like ('across modalities',)"
    wrong = rules_complaint(rules)
    return f".rules: {wrong}" if wrong else ""


def rules_complaint(rules: Sequence[str]) -> str:
    """Return the error in the ranking rules of a published number; "" if there is none."""
    if aps := [word for word in rules if word.startswith("AP ")]:
        return f"{aps[0]!r} is the AP rule, which belongs in ap"
    return words.complaint("protocol", rules, "evaluator").removeprefix("protocol ")


def usual_name(metric: str) -> str:
    """Return the evaluators' name of a metric with several spellings, such as Rank-1 or map."""
    rank = RANK.fullmatch(metric)
    return f"cmc{int(rank[1])}" if rank else {"map": "mAP", "minp": "mINP"}.get(metric.lower(), metric)


def _wrong_metric(metric: str) -> str:
    """Return an error for a metric name that no built-in evaluator uses, since it would match no row."""
    right = usual_name(metric)
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
    """Published numbers of one line, which differ only in metric and value; `first` is one of them."""

    first: Published
    values: dict[str, float]  # by metric

    def rule(self) -> str:
        """The rule of average precision, or "" if no average precision is among the numbers."""
        return self.first.ap if "mAP" in self.values else ""


def lines(numbers: Sequence[Published]) -> list[Line]:
    """Return published numbers by line, in the given order."""
    found: dict[tuple[object, ...], Line] = {}
    for number in numbers:
        key = (number.task, number.row, number.source, number.ap, number.note, number.beside, number.rules)
        found.setdefault(key, Line(number, {})).values[number.metric] = number.value
    return list(found.values())


def is_wanted(number: Published, wanted: Mapping[str, str]) -> bool:
    """Return whether a number matches `row` (its name, or the part after the last comma) and `source`.

    Without `row`, numbers comparable with measured ones match.
    """
    row = wanted.get("row")
    named = number.beside if row is None else number.row == row or number.row.endswith(f", {row}")
    return named and wanted.get("source", number.source) == number.source


def percent(metric: str, value: float) -> str:
    """Return a published value with its published digits, fractions in %."""
    if metric.startswith(DISTANCE):
        return f"{value:g}"
    whole, _, digits = f"{100 * value:.4f}".partition(".")
    return f"{whole}.{digits.rstrip('0') or '0'}"


def _by_source(numbers: Sequence[Published]) -> list[list[Line]]:
    """Group lines into tables: one source, one AP rule for mAP, and the same ranking rules."""
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in lines(numbers):
        groups.setdefault((line.first.source, line.first.ap, line.first.rules), []).append(line)
    return list(groups.values())


def _heading(members: Sequence[Line]) -> str:
    first = members[0].first
    rule = next((line.rule() for line in members if line.rule()), "")
    ranked = f"ranking rules: {', '.join(first.rules)}" if first.rules else ""
    return "; ".join(filter(None, (first.source, rule and f"AP rule: {rule}", ranked)))


def contents(numbers: Sequence[Published]) -> list[str]:
    """Return one line for each table of published numbers: its source, rules and number of rows."""
    return [f"{_heading(members)}; rows: {len(members)}" for members in _by_source(numbers)]


def tables(numbers: Sequence[Published], names: dict[str, str]) -> list[str]:
    """Return published numbers as text: a table for each source, with its rules above and its notes below.

    `names` are the printed names of metrics.
    """
    return [line for members in _by_source(numbers) for line in _table(members, names)]


def _table(members: Sequence[Line], names: dict[str, str]) -> list[str]:
    from tabulate import tabulate

    fullest_first = sorted(members, key=lambda line: -len(line.values))  # its order is the order of columns
    given = dict.fromkeys(metric for line in fullest_first for metric in line.values)
    metrics = sorted(given, key=lambda metric: metric != "mAP")  # first in every table, regardless of the paper's order
    notes = list(dict.fromkeys(note for line in members for note in _notes(line.first)))
    rows = [
        [
            " ".join([line.first.row, *(f"[{notes.index(note) + 1}]" for note in _notes(line.first))]),
            line.first.task,
            *cells,
        ]
        for line, cells in zip(members, _cells(members, metrics), strict=True)
    ]
    headers = ["row", "task", *(names.get(metric, metric) for metric in metrics)]
    text = tabulate(rows, headers, "simple", disable_numparse=True)
    below = [f"[{number}] {note}" for number, note in enumerate(notes, 1)]
    return ["", _heading(members), *text.splitlines(), *below]


def _cells(members: Sequence[Line], metrics: Sequence[str]) -> list[list[str]]:
    """Return printed values, all with the largest number of decimals among them: 91.70 next to 90.35."""
    texts = [[percent(m, line.values[m]) if m in line.values else "-" for m in metrics] for line in members]
    decimals = max(len(text.partition(".")[2]) for row in texts for text in row)
    return [[text if text == "-" else f"{float(text):.{decimals}f}" for text in row] for row in texts]


def _notes(number: Published) -> list[str]:
    return [*filter(None, [number.note]), *([] if number.beside else ["not comparable with measured rows"])]
