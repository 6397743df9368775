"""All methods against one of them, as text and JSON: paired differences, and queries won, tied and lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reidbench.report.breakdown.compare import tallies
from reidbench.report.breakdown.differences import Paired, differences
from reidbench.report.results import Leaderboard
from reidbench.report.units import NAMES, lower_is_better, number, own_unit

from .groups import averages, columns
from .sentences import few_seeds, some, without_difference
from .tables import one_line, table


def differences_to(board: Leaderboard, against: str, metric: str) -> str:
    """Return paired differences to a method as Markdown. Raises ReidbenchError for an unknown method."""
    several = len(board.evaluators) > 1
    rows: dict[tuple[str, str], dict[str, str]] = {}
    pairs = list(differences(board, against, metric))
    of_groups = averages(board)  # without forgetting, where lower is better
    several_tasks = differences(of_groups, against, metric) if against in of_groups.methods else ()
    for pair in (*pairs, *several_tasks):
        rows.setdefault((pair.method, pair.evaluator), {})[pair.task] = _difference(board, pair, metric)
    tasks = [column.task for column in columns(board) if column.task in {*board.tasks, *of_groups.tasks}]
    cells = [
        [method, *([evaluator] if several else []), *(found.get(task, "-") for task in tasks)]
        for (method, evaluator), found in rows.items()
    ]
    headers = ["method", *(["evaluator"] if several else []), *tasks]
    parts = [one_line(_difference_title(board, against, metric, pairs)), table(headers, cells)] if cells else []
    if any(pair.apart for pair in pairs):
        parts.append(
            "Words in brackets occur in only one of the two protocols: the difference is not due to the method alone."
        )
    parts += [
        one_line(sentence) for sentence in (*few_seeds(pairs), *without_difference(board, against, metric, pairs))
    ]
    return "\n\n".join([*parts, *_queries_to(board, against, metric)]) + "\n"


def _queries_to(board: Leaderboard, against: str, metric: str) -> list[str]:
    """Return a table of queries won, tied and lost against a method, and the reasons for missing rows."""
    several = len(board.evaluators) > 1
    found = list(tallies(board, against, metric))
    lines = [
        [one.method, *([one.evaluator] if several else []), one.task, one.wins, one.ties, one.losses]
        for one in found
        if not one.reason
    ]
    headers = ["method", *(["evaluator"] if several else []), "task", "wins", "ties", "losses"]
    rounded = " or ".join(dict.fromkeys(one.rounded for one in found if one.rounded))
    said = f"Queries won, tied and lost against {against} by their {NAMES.get(metric, metric)}, mean over seeds"
    parts = [one_line(f"{said}, rounded to {rounded}:"), table(headers, lines)] if lines else []
    reasons: dict[str, list[str]] = {}
    for one in found:
        if one.reason:
            reasons.setdefault(one.reason, []).append(f"{one.method} on {one.task}")
    return parts + [
        one_line(f"No per-query comparison for {some(rows)}: {reason}.") for reason, rows in reasons.items()
    ]


def _difference_title(board: Leaderboard, against: str, metric: str, pairs: Sequence[Paired]) -> str:
    label = NAMES.get(metric, metric)
    evaluators = {pair.evaluator for pair in pairs} or board.giving(metric)
    kinds = {board.metric(evaluator, metric) for evaluator in evaluators}
    units = {"points" if kind.unit == "%" else kind.unit for kind in kinds if kind}
    among = f", in {next(iter(units))}" if len(units) == 1 and all(units) and None not in kinds else ""
    if kinds == {None}:
        return f"{label} minus that of {against}: paired mean [95 % interval]:"
    lower = "".join(
        f" ({f'{of}: ' if (of := name.removeprefix(label).lstrip()) else ''}lower is better, so positive is lower)"
        for name in lower_is_better(board, [metric])
    )
    of = "seeds and pre-trainings" if any(pair.pretrainings > 1 for pair in pairs) else "seeds"
    counted = f", number of {of} where it is better" if kinds != {None} else ""
    return f"{label} against {against}{among}{lower}: paired mean [95 % interval]{counted}:"


def _difference(board: Leaderboard, pair: Paired, metric: str) -> str:
    known = board.metric(pair.evaluator, metric)
    found = pair.difference
    mean, low, high = (number(value, known, "+") for value in (found.value, found.low, found.high))
    interval = "" if math.isnan(found.low) else f" [{low}, {high}]"
    unit_words = own_unit(board, metric, pair.evaluator).replace("%", "points")  # of two percentages
    counted = (
        f" {pair.better}/{found.n}"
        if pair.better is not None
        else f" ({found.n} results)"
        if pair.pretrainings > 1
        else f" ({found.n} seeds)"
    )
    counted = " (no seed)" if pair.seedless == 2 else counted
    words = f" ({', '.join(pair.apart)})" if pair.apart else ""
    return f"{mean}{interval}{unit_words}{counted}{words}"


def raw_differences(board: Leaderboard, against: str, metric: str) -> list[dict[str, Any]]:
    """Return paired differences and queries won, tied and lost of all methods against one; null for missing values."""
    pairs = {(pair.method, pair.task, pair.evaluator): pair for pair in differences(board, against, metric)}
    lines = []
    for one in tallies(board, against, metric):
        pair = pairs.get((one.method, one.task, one.evaluator))
        ends = [pair.difference.low, pair.difference.high] if pair else []
        lines.append(
            {
                "method": one.method,
                "against": against,
                "task": one.task,
                "evaluator": one.evaluator,
                "metric": metric,
                "difference": pair.difference.value if pair else None,
                "ci95": ends if pair and not math.isnan(pair.difference.low) else None,
                "n": pair.difference.n if pair else 0,
                "better": pair.better if pair else None,
                "seedless": pair.seedless if pair else None,
                "pretrainings": pair.pretrainings if pair else None,
                "unpaired": pair.unpaired if pair else None,
                "apart": list(pair.apart) if pair else [],
                "queries": {"wins": one.wins, "ties": one.ties, "losses": one.losses, "reason": one.reason or None},
            }
        )
    return lines
