"""Results as pandas frames. pandas is imported on first use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reidbench import report
from reidbench.matrix.stage import Plan
from reidbench.report.breakdown.compare import tallies
from reidbench.report.claims.sentences import why
from reidbench.report.claims.verdicts import ends
from reidbench.report.formats.extras import require
from reidbench.report.formats.tables import chosen
from reidbench.report.formats.tables import wide as wide_texts
from reidbench.report.ranks.sentences import letters

if TYPE_CHECKING:
    import pandas as pd

FIRST = ("method", "task", "evaluator", "seed", "pretrain_seed", "status", "protocol")
LAST = ("error", "key")
SEEDS = ("seed", "pretrain_seed")
SUMMARY = (
    "method", "task", "evaluator", "metric", "n", "mean", "sd", "low", "high", "pretrainings", "results", "seedless",
    "better", "unit",
)  # fmt: skip
DIFFERENCES = (
    "method", "against", "task", "evaluator", "metric", "difference", "low", "high", "n", "better", "seedless",
    "unpaired", "apart", "wins", "ties", "losses",
)  # fmt: skip
RANKS = (
    "method", "evaluator", "metric", "kind", "tasks", "mean_rank", "low", "high", "win_rate", "borda", "group",
    "nemenyi", "left_out",
)  # fmt: skip

CLAIMS = (
    "say", "kind", "rows", "metric", "evaluator", "tasks", "first", "second", "effect", "low", "high", "seeds", "p",
    "against", "verdict", "power", "seeds_to_see", "seeds_to_decide", "why",
)  # fmt: skip


def _pandas() -> Any:
    require("a frame", "pandas", extra="pandas")
    import pandas

    return pandas


def _typed(columns: Sequence[str], lines: Sequence[Sequence[Any]], types: dict[str, str]) -> pd.DataFrame:
    """Return a frame of lines; the columns of `types` have their type even without lines."""
    frame = _pandas().DataFrame(list(lines), columns=list(columns))
    return frame.astype(types)


def rows(board: report.Leaderboard) -> pd.DataFrame:
    """Return one row per result, in the order of the matrix."""
    metrics = {name: _column(name) for name in board.metrics}
    lines = []
    for result in board.results:
        row = result.row
        first = (row.method, row.task, row.evaluator, row.seed, row.pretrain_seed, result.status, row.protocol)
        numbers = (result.metrics.get(name) for name in metrics)
        lines.append((*first, *numbers, result.error, row.key))
    types = dict.fromkeys(metrics.values(), "float64") | dict.fromkeys(SEEDS, "Int64")
    return _typed([*FIRST, *metrics.values(), *LAST], lines, types)


def _column(metric: str) -> str:
    """Return the heading of a metric, distinct from other columns even if an undeclared metric has such a name."""
    return f"metric {metric}" if re.sub("^(metric )+", "", metric) in (*FIRST, *LAST) else metric


def summary(board: report.Leaderboard) -> pd.DataFrame:
    """Return one row per mean."""
    lines = []
    for one in board.summary:
        known = board.metric(one.evaluator, one.metric)
        low, high = one.ci95 or (None, None)
        place = one.method, one.task, one.evaluator, one.metric
        meant = (known.better, known.unit) if known else (None, None)
        lines.append((*place, one.n, one.mean, one.sd, low, high, one.pretrainings, one.results, one.seedless, *meant))
    types = dict.fromkeys(("mean", "sd", "low", "high"), "float64") | dict.fromkeys(
        ("n", "pretrainings", "results"), "int64"
    )
    return _typed(SUMMARY, lines, types | {"seedless": "bool"})


def differences(board: report.Leaderboard, against: str, metric: str | None) -> pd.DataFrame:
    """Return one row per paired difference."""
    name = chosen(board, metric)
    queries = {(one.method, one.task, one.evaluator): one for one in tallies(board, against, name)}
    lines = []
    for pair in report.differences(board, against, name):
        of = queries[pair.method, pair.task, pair.evaluator]
        lines.append(
            (
                *(pair.method, against, pair.task, pair.evaluator, name),
                *(pair.difference.value, pair.difference.low, pair.difference.high, pair.difference.n),
                *(pair.better, pair.seedless, pair.unpaired, ", ".join(pair.apart)),
                *(of.wins, of.ties, of.losses),
            )
        )
    types = dict.fromkeys(("difference", "low", "high"), "float64") | {"n": "int64"}
    types |= dict.fromkeys(("better", "wins", "ties", "losses"), "Int64")
    return _typed(DIFFERENCES, lines, types | dict.fromkeys(("seedless", "unpaired"), "int64"))


def ranks(board: report.Leaderboard, metric: str | None) -> pd.DataFrame:
    """Return one row per method of each comparison, best first, then the methods that are not compared."""
    found = report.ranks_of(board, chosen(board, metric)).comparisons
    lines = [line for comparison in found for line in _ranked(comparison)]
    numbers = ("mean_rank", "low", "high", "win_rate", "borda")
    return _typed(RANKS, lines, dict.fromkeys(numbers, "float64") | {"tasks": "int64"})


def _ranked(found: report.Comparison) -> Iterator[tuple[Any, ...]]:
    place = found.evaluator, found.metric, ", ".join(found.kind), len(found.tasks)
    by_draws = letters(found.groups, found.methods)
    by_test = letters(found.test.groups if found.test else None, found.methods)
    for i in found.order:
        name = found.methods[i]
        ends = (found.intervals[i].low, found.intervals[i].high) if found.intervals else (None, None)
        groups = by_draws[name] if found.intervals else None, by_test[name] if found.test else None
        yield (name, *place, found.mean_rank[i], *ends, found.win_rate[i], found.borda[i], *groups, "")
    for one in found.left_out:
        if one.what == "method":
            yield (one.name, *place, *[None] * 7, one.why)


def claims(board: report.Leaderboard, plan: Plan) -> pd.DataFrame:
    """Return one row per claim, in the order of the matrix file."""
    found = report.judge(board, plan)
    lines = []
    for one in found.judged:
        claim, shown = one.claim, one.shown
        place = claim.say, claim.kind, claim.rows, claim.metric, claim.by, claim.on, shown.first, shown.second
        interval = ends(one, shown.effect, found.rule.alpha) if shown.effect else None
        effect = (interval.value, interval.low, interval.high) if interval else (None, None, None)
        tested = one.p_holm, one.against_holm, one.verdict, one.power, one.seeds_to_see, one.seeds_to_decide
        lines.append((*place, *effect, shown.seeds, *tested, why(board, found, one)))
    numbers = dict.fromkeys(("effect", "low", "high", "p", "against", "power"), "float64")
    counts = dict.fromkeys(("seeds_to_see", "seeds_to_decide"), "Int64")
    return _typed(CLAIMS, lines, numbers | counts | {"seeds": "int64"})


def wide(board: report.Leaderboard, metric: str | None) -> pd.DataFrame:
    """Return the wide table of one metric as strings."""
    headings, lines = wide_texts(board, chosen(board, metric))
    index = 2 if len(board.evaluators) > 1 else 1
    pandas = _pandas()
    columns = pandas.Index(headings[index:], dtype="object")
    if index == 1:
        names = pandas.Index([line[0] for line in lines], name=headings[0], dtype="object")
    else:
        names = pandas.MultiIndex.from_tuples([tuple(line[:2]) for line in lines], names=headings[:2])
    return pandas.DataFrame([line[index:] for line in lines], index=names, columns=columns)
