"""The numbers of groups as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reidbench.matrix.families.groups import DEFINITIONS, Derived
from reidbench.report.results import Leaderboard, Summary

from .numbers import boards


def raw(board: Leaderboard) -> list[dict[str, Any]]:
    """Return each number of a group: definition, tasks, means by method, and methods without it."""
    return [entry for one in boards(board) for entry in _numbers(board, one)]


def _numbers(board: Leaderboard, one: Leaderboard) -> Iterator[dict[str, Any]]:
    for number in board.groups:
        if number.heading in one.tasks:
            found = [summary for summary in one.summary if summary.task == number.heading]
            missing = [r for r in one.results if r.row.task == number.heading and r.status != "ok"]
            yield _named(number) | {
                "summary": [_summary(one, summary) for summary in found],
                "incomplete": [
                    {"method": r.row.method, "evaluator": r.row.evaluator, "reason": r.error} for r in missing
                ],
            }


def _named(number: Derived) -> dict[str, Any]:
    definition = DEFINITIONS[number.name]
    words = {"group": number.group, "number": number.name, "column": number.heading, "definition": definition}
    return {**words, "tasks": list(number.tasks)}


def _summary(one: Leaderboard, summary: Summary) -> dict[str, Any]:
    known = one.metric(summary.evaluator, summary.metric)
    names = ("method", "evaluator", "metric", "n", "pretrainings", "results", "mean", "sd", "ci95", "seedless")
    meant = {"better": known.better, "unit": known.unit} if known else {"better": None, "unit": None}
    return {name: getattr(summary, name) for name in names} | meant
