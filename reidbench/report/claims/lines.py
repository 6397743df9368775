"""Lines of the table of claims, as strings and values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reidbench.report.results import Leaderboard
from reidbench.report.units import described, is_percent

from .pairs import Pair
from .sentences import signed, why
from .verdicts import Claims, Judged, ends

NONE = "–"
SMALLEST = 0.001  # smallest printed p
SIGNS = {"better": " > ", "equal": " = ", "order": " > "}


def headings(found: Claims) -> tuple[str, ...]:
    """Return the columns."""
    level = f"{100 * (1 - 2 * found.rule.alpha):g} % interval"
    return "claim", "compared", "published", "effect", level, "seeds", "p for", "p against", "verdict", "why"


def lines(board: Leaderboard, found: Claims) -> list[tuple[str, ...]]:
    """Return one line per claim, in file order."""
    return [_line(board, found, one) for one in found.judged]


def _line(board: Leaderboard, found: Claims, one: Judged) -> tuple[str, ...]:
    claim, shown = one.claim, one.shown
    return (
        claim.say,
        compared(board, one),
        published(one),
        _effect(one),
        _interval(found, one, shown),
        seeds(shown),
        probability(one.p_holm),
        probability(one.against_holm),
        one.verdict,
        why(board, found, one),
    )


def compared(board: Leaderboard, one: Judged) -> str:
    """Return rows, metric and tasks on one line, with the unit of a metric that is not in %."""
    claim = one.claim
    name = claim.metric if is_percent(one.metric) else described(claim.metric, one.metric)
    on = "all tasks" if len(board.tasks) > 1 and set(claim.on) == set(board.tasks) else ", ".join(claim.on)
    by = f" by {claim.by}" if isinstance(claim.by, str) and len(board.evaluators) > 1 else ""
    return f"{SIGNS[claim.kind].join(map(claim.name, claim.sides))}; {name}{by} on {on}"


def published(one: Judged) -> str:
    """Return the published effect or text."""
    given = one.claim.published
    if given is None:
        return NONE
    return given.text if given.effect is None else f"{_printed(given.effect, one)} ({given.text})"


def _printed(effect: float, one: Judged) -> str:
    """Format an effect given in the printed unit."""
    return signed(effect / 100 if one.metric.unit == "%" else effect, one.metric)


def _effect(one: Judged) -> str:
    """Return the effect of the deciding pair, and by task if there are several."""
    shown = one.shown
    if shown.effect is None:
        return NONE
    several = f"{shown.first} - {shown.second}: " if len(one.pairs) > 1 else ""
    tasks = ", ".join(f"{on.task} {signed(on.mean, one.metric)}" for on in shown.tasks)
    return f"{several}{signed(shown.effect.value, one.metric)}{f' ({tasks})' if len(shown.tasks) > 1 else ''}"


def _interval(found: Claims, one: Judged, shown: Pair) -> str:
    if shown.effect is None:
        return NONE
    interval = ends(one, shown.effect, found.rule.alpha)
    return f"[{signed(interval.low, one.metric)}, {signed(interval.high, one.metric)}]"


def seeds(shown: Pair) -> str:
    """Return the number of seeds of a pair, and of pre-trainings if there are several."""
    if not shown.tasks:
        return NONE
    times = f" x {shown.pretrainings} pre-trainings" if shown.pretrainings > 1 else ""
    return f"{shown.seeds or 'no seed'}{times}"


def probability(p: float) -> str:
    """Format a p-value."""
    if math.isnan(p):
        return NONE
    return f"{p:.2g}" if p >= SMALLEST else f"< {SMALLEST:g}"


# ---------------------------------------------------------------------- values
def raw(board: Leaderboard, found: Claims) -> dict[str, Any]:
    """Return all values for JSON; effects are fractions if the metric's unit is %."""
    return {
        "rule": {"alpha": found.rule.alpha, "effect": found.rule.effect, "level": found.level},
        "claims": [_raw(board, found, one) for one in found.judged],
    }


def _raw(board: Leaderboard, found: Claims, one: Judged) -> dict[str, Any]:
    claim, given = one.claim, one.claim.published
    scale = 100 if one.metric.unit == "%" else 1
    effect = given.effect / scale if given and given.effect is not None else None
    return {
        "say": claim.say,
        "kind": claim.kind,
        "rows": list(claim.rows),
        "metric": claim.metric,
        "evaluator": claim.by if isinstance(claim.by, str) else list(claim.by),
        "tasks": list(claim.on),
        "unit": one.metric.unit,
        "better": one.metric.better,
        "margin": one.margin,
        "least": None if one.equal else one.least,
        "published": given and {"effect": effect, "text": given.text},
        "pairs": [_pair(found, one, each) for each in one.pairs],
        "p": _number(one.p),
        "p_holm": _number(one.p_holm),
        "p_against": _number(one.against),
        "p_against_holm": _number(one.against_holm),
        "verdict": one.verdict,
        "missing": one.missing,
        "power": _number(one.power),
        "seeds_to_see": one.seeds_to_see,
        "seeds_to_decide": one.seeds_to_decide,
        "later": [{"verdict": word, "seeds": seeds} for word, seeds in one.later],
        "since": claim.since or None,
        "why": why(board, found, one),
    }


def _pair(found: Claims, one: Judged, each: Pair) -> dict[str, Any]:
    interval = ends(one, each.effect, found.rule.alpha) if each.effect else None
    return {
        "rows": [each.first, each.second],
        "effect": each.effect.value if each.effect else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "error": each.effect.error if each.effect else None,
        "freedom": each.effect.freedom if each.effect else None,
        "seeds": each.seeds,
        "pretrainings": each.pretrainings,
        "tasks": {on.task: on.mean for on in each.tasks},
        "together": _lists(each.groups),
        "missing": each.missing,
    }


def _lists(groups: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(group) for group in groups]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
