"""What a table says beside its numbers: what bold means, where intervals are cut, what cannot be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .results import Leaderboard
from .units import NAMES

BOLD = "Bold: the best of its column, and whatever is tied with it within noise (paired over seeds, 95 %)."
ONE_SEED = "Nothing is bold: one seed does not separate methods."
SOME_ONE_SEED = "Rows of one seed are neither ranked nor bold: one seed does not separate methods."
TWO_SEEDS = (
    "Two seeds separate little: ties of such rows are judged by the queries (paired bootstrap over queries, 95 %), not "
    "by seeds; where an evaluator keeps no results of the queries, they are neither ranked nor bold."
)
UNRANKED = "Numbers that their evaluator does not declare are neither ranked nor bold."
UNDECLARED = "Nothing is bold: the evaluator does not declare whether more of it is better."
CUT = "Intervals (Student's t over seeds) are cut at the ends of the metric's range."


def bold(board: Leaderboard, metric: str) -> Iterator[str]:
    """What bold means in the table of a metric, or why nothing is."""
    declared = [board.metric(evaluator, metric) for evaluator in board.giving(metric)]
    seeds = {s.n for s in board.summary if s.metric == metric and board.metric(s.evaluator, metric)}
    if declared and not any(declared):
        yield UNDECLARED
    elif seeds == {1}:
        yield ONE_SEED
    else:
        yield BOLD
        yield from ranking(board, metric)


def ranking(board: Leaderboard, metric: str) -> Iterator[str]:
    """Which rows have no rank in the table of a metric, and how those of two seeds got theirs."""
    declared = [board.metric(evaluator, metric) for evaluator in board.giving(metric)]
    seeds = {s.n for s in board.summary if s.metric == metric and board.metric(s.evaluator, metric)}
    if None in declared:
        yield UNRANKED
    if 1 in seeds:
        yield SOME_ONE_SEED
    if 2 in seeds:
        yield TWO_SEEDS


def cut(board: Leaderboard, metric: str) -> Iterator[str]:
    """That intervals end where the metric's range does, in a table where one of them does."""
    for summary in board.summary:
        known = board.metric(summary.evaluator, metric)
        if summary.metric == metric and known and summary.ci95 and summary.sd and {*summary.ci95} & {*known.ends}:
            yield CUT
            return


def unmeasured(board: Leaderboard, metric: str) -> list[str]:
    """For each evaluator that ended without the metric: where, and what it gives instead."""
    cells: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for result in board.results:
        row = result.row
        if result.status == "ok" and metric not in board.summarised(row.method, row.task, row.evaluator):
            names = tuple(name for name in board.metrics if name in result.metrics)
            given = cells.setdefault((row.evaluator, names), {})
            given[f"{row.method} on {row.task}"] = None
    giving = board.giving(metric)
    return [
        f"{_some(list(where)) + ' by' if evaluator in giving else 'every cell of'} {evaluator}: "
        f"not measured: {unmeasured_here(metric, names)}"
        for (evaluator, names), where in cells.items()
    ]


def unmeasured_here(metric: str, given: Sequence[str]) -> str:
    """Why a cell that was evaluated has no number of a metric."""
    names = ", ".join(NAMES.get(name, name) for name in given) or "nothing"
    return f"it gives {names}, not {NAMES.get(metric, metric)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def rule_warnings(board: Leaderboard, metric: str) -> list[str]:
    """A sentence for each column whose rows follow different rules, and one where the evaluators of a metric do."""
    return [*_within_columns(board), *_across(board, board.giving(metric))]


def _within_columns(board: Leaderboard) -> Iterator[str]:
    for task in board.tasks:
        for evaluator in board.evaluators:
            kinds: dict[tuple[str, ...], dict[str, None]] = {}
            for method in board.methods:
                for result in board.cell(method, task, evaluator):
                    if result.status == "ok":
                        words = tuple(sorted(board.rule_words(result.row.protocol)))
                        kinds.setdefault(words, {})[method] = None
            if len(kinds) > 1:
                texts = [f"{_words(kind, kinds)} ({_some(list(methods))})" for kind, methods in kinds.items()]
                yield (
                    f"Rows of {task} by {evaluator} follow different rules, and are not ranked together: "
                    f"{'; '.join(texts)}."
                )


def _across(board: Leaderboard, evaluators: Sequence[str]) -> Iterator[str]:
    kinds: dict[tuple[str, ...], list[str]] = {}
    for evaluator in evaluators:
        protocols = [result.row.protocol for result in board.results if result.row.evaluator == evaluator]
        words = {word for protocol in protocols for word in board.rule_words(protocol)}
        kinds.setdefault(tuple(sorted(words)), []).append(evaluator)
    if len(kinds) > 1:
        texts = [f"{', '.join(names)}: {_words(kind, kinds)}" for kind, names in kinds.items()]
        yield f"Evaluators follow different rules; compare numbers of one evaluator only: {'; '.join(texts)}."


def _words(kind: Sequence[str], kinds: Iterable[Sequence[str]]) -> str:
    """The rules of one group that not all groups have."""
    shared = set.intersection(*map(set, kinds))
    return ", ".join(word for word in kind if word not in shared) or "none of these"
