"""Sentences beside a table: the meaning of bold, cut intervals, what cannot be compared, why cells are empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reidbench.report.breakdown.differences import Paired
from reidbench.report.results import Leaderboard, Result, Summary, by_seed
from reidbench.report.standings import apart
from reidbench.report.units import NAMES

BOLD = "Bold: the best of its column, and whatever is tied with it within noise (paired over seeds, 95 %)."
ONE_SEED = "Nothing is bold: one seed does not separate methods."
SOME_ONE_SEED = "Rows of one seed are neither ranked nor bold: one seed does not separate methods."
TWO_SEEDS = (
    "Two seeds separate little: ties of such rows are judged by the queries (paired bootstrap over queries, 95 %), not "
    "by seeds; where an evaluator keeps no results of the queries, they are neither ranked nor bold."
)
NO_SEED = (
    "Rows marked (no seed) use none: their one result (n = 1) is that of every seed, with no interval over seeds. They "
    "are compared by the queries (paired bootstrap over queries, 95 %), and with rows of several seeds by these seeds "
    "too; they are neither ranked nor bold where an evaluator keeps no results of the queries, or beside rows that all "
    "have too few seeds to be ranked."
)
ONE_FOR_ALL = (
    "The one result of a row without a seed stands for every seed of the other: the interval is over the other's seeds."
)
OVER_QUERIES = (
    "(no seed): neither of the two rows uses one. The interval is over queries (paired bootstrap); there is none where "
    "the evaluator keeps no results of the queries."
)
UNRANKED = "Numbers that their evaluator does not declare are neither ranked nor bold."
UNDECLARED = "Nothing is bold: the evaluator does not declare whether more of it is better."
CUT = "Intervals (Student's t over seeds) are cut at the ends of the metric's range."
STATUS_WORDS = {
    "ok": "not measured",
    "failed": "failed",
    "blocked": "failed",
    "not-applicable": "not applicable",
    "missing": "missing",
}


def bold(board: Leaderboard, metric: str) -> Iterator[str]:
    """Meaning of bold in the table of a metric, or why nothing is."""
    nothing = nothing_bold(board, metric)
    if nothing:
        yield nothing
    else:
        yield BOLD
        yield from ranking(board, metric)


def nothing_bold(board: Leaderboard, metric: str) -> str:
    """Reason why nothing can be bold in the table of a metric; empty where something can."""
    declared = [board.metric(evaluator, metric) for evaluator in board.giving(metric)]
    if declared and not any(declared):
        return UNDECLARED
    return ONE_SEED if _seeds(board, metric) == {1} else ""


def _seeds(board: Leaderboard, metric: str) -> set[int]:
    """Over how many seeds the means of a declared metric are: 0 for rows that use none."""
    found = (s for s in board.summary if s.metric == metric and board.metric(s.evaluator, metric))
    return {0 if summary.seedless else summary.n for summary in found}


def no_seed(board: Leaderboard, metric: str) -> Iterator[str]:
    """The meaning of (no seed), in a table of a metric that has such rows."""
    if any(summary.metric == metric and summary.seedless for summary in board.summary):
        yield NO_SEED


def of_seeds(summary: Summary, results: Sequence[Result]) -> str:
    """How many of a cell's results have a number, where not all of them do; and that a cell uses no seed."""
    good = sum(summary.metric in result.metrics for result in results)
    counted = "" if good == len(results) else f"{good}/{len(results)}"
    if summary.seedless:
        return f"no seed, {counted} pre-trainings" if counted else "no seed"
    return counted and f"{counted} seeds"


def set_apart(board: Leaderboard) -> Iterator[str]:
    """Rows that saw what others did not, and are ranked only with their like."""
    words: dict[str, dict[str, None]] = {}
    for result in board.results:
        if result.status == "ok":
            words.setdefault(result.row.method, {}).update(dict.fromkeys(apart(result.row.protocol)))
    named = [f"{method} ({', '.join(found)})" for method, found in words.items() if found]
    if named and len({tuple(found) for found in words.values()}) > 1:
        yield f"Ranked only with their like: {', '.join(named)}."


def ranking(board: Leaderboard, metric: str) -> Iterator[str]:
    """Rows without a rank in the table of a metric, and how those of two seeds got theirs."""
    declared = [board.metric(evaluator, metric) for evaluator in board.giving(metric)]
    seeds = _seeds(board, metric)
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


def few_seeds(pairs: Sequence[Paired]) -> Iterator[str]:
    """Warnings about differences over one or two seeds, or none, where a table has some."""
    counts = {pair.difference.n for pair in pairs if pair.seedless < 2}
    if 2 in counts:
        yield "Two seeds separate little: an interval over two of them is no more than a hint."
    if 1 in counts:
        yield "Over one seed there is no interval: such a difference may be noise."
    if any(pair.seedless == 1 for pair in pairs):
        yield ONE_FOR_ALL
    if any(pair.seedless == 2 for pair in pairs):
        yield OVER_QUERIES


def without_difference(board: Leaderboard, against: str, metric: str, pairs: Sequence[Paired]) -> Iterator[str]:
    """By column: the methods that have numbers in common with the method `against` over no seed."""
    if board.methods == [against]:
        yield f"There is no other method to compare with {against}."
    found = {(pair.method, pair.task, pair.evaluator) for pair in pairs}
    several = len(board.evaluators) > 1
    label = NAMES.get(metric, metric)
    for task in board.tasks:
        for evaluator in board.giving(metric):
            where = f"{task} by {evaluator}" if several else task
            cells = [m for m in board.methods if m != against and board.cell(m, task, evaluator)]
            left_out = [m for m in cells if (m, task, evaluator) not in found]
            if left_out and not by_seed(board.cell(against, task, evaluator), metric):
                yield f"No differences on {where}: {against} has no {label} there."
            elif left_out:
                yield f"No difference on {where} for {some(left_out)}: no seed gave {label} for both."


def status_word(results: Sequence[Result]) -> str:
    """Status of a cell without a number, in a word or two; "-" for a cell that is not in the matrix."""
    states = [result.status for result in results]
    return STATUS_WORDS["ok" if "ok" in states else states[0]] if states else "-"


def without_number(board: Leaderboard, metric: str) -> list[str]:
    """Cells without a number of a metric, with reasons, equal ones once: text of plugins, as it came."""
    reasons: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in board.results:
        if result.status != "ok":
            word = STATUS_WORDS[result.status]
            reasons.setdefault((result.row.method, result.row.task, word, result.error), []).append(result)
    sentences = unmeasured(board, metric)
    for (method, task, word, error), members in reasons.items():
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(r.row.seed for r in members) if seed is not None)
        which = f" (seed {seeds})" if seeds and word != "not applicable" else ""
        sentences.append(f"{method} on {task}{which}: {word}: {error}")
    return sentences


def unmeasured(board: Leaderboard, metric: str) -> list[str]:
    """For each evaluator that ended without the metric: where (in which seeds, if some have it), and what it gives."""
    cells: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for result in board.results:
        row = result.row
        if result.status == "ok" and metric not in result.metrics:
            names = tuple(name for name in board.metrics if name in result.metrics)
            given = cells.setdefault((row.evaluator, names), {})
            partly = row.seed is not None and metric in board.summarised(row.method, row.task, row.evaluator)
            given[f"{row.method} on {row.task}" + (f" (seed {row.seed})" if partly else "")] = None
    giving = board.giving(metric)
    return [
        f"{some(list(where)) + ' by' if evaluator in giving else 'every cell of'} {evaluator}: "
        f"not measured: {unmeasured_here(metric, names)}"
        for (evaluator, names), where in cells.items()
    ]


def unmeasured_here(metric: str, given: Sequence[str]) -> str:
    """Reason why a cell that was evaluated has no number of a metric."""
    names = ", ".join(NAMES.get(name, name) for name in given) or "nothing"
    return f"it gives {names}, not {NAMES.get(metric, metric)}"


def some(names: Sequence[str]) -> str:
    """The first three names, and how many there are more."""
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
                texts = [f"{_words(kind, kinds)} ({some(list(methods))})" for kind, methods in kinds.items()]
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
