"""Sentences for tables: the meaning of bold, clipped intervals, incomparable rows, reasons for empty cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reidbench.report.breakdown.differences import Paired
from reidbench.report.results import Leaderboard, Result, Summary, replicates
from reidbench.report.standings import apart
from reidbench.report.units import NAMES
from reidbench.words import ON_TEST_LABELS as ON_TEST

BOLD = "Bold: the best of its column and all methods tied with it (paired over seeds, 95 %)."
BOLD_ALONE = (
    "Bold: significantly better than all comparable methods of its column (paired over seeds, 95 %); if nothing is "
    "bold, the best methods are tied."
)
ONE_SEED = "Nothing is bold: one seed does not separate methods."
SOME_ONE_SEED = "Rows with one seed are neither ranked nor bold: one seed does not separate methods."
TWO_SEEDS = (
    "Two seeds separate few methods: such rows are compared over queries (paired bootstrap, 95 %), not over seeds. "
    "They are neither ranked nor bold if the evaluator stores no per-query results."
)
NO_SEED = (
    "Rows marked (no seed) do not depend on the seed: they have one result (n = 1) and no interval over seeds. They "
    "are compared over queries (paired bootstrap, 95 %), and with rows of several seeds over these seeds too. They "
    "are neither ranked nor bold if the evaluator stores no per-query results, or if all other rows have too few "
    "seeds to be ranked."
)
ONE_FOR_ALL = (
    "A row without a seed has the same result for every seed of the other row: the interval is over the other's seeds."
)
OVER_QUERIES = (
    "(no seed): neither row depends on the seed. The interval is over queries (paired bootstrap); it is missing if the "
    "evaluator stores no per-query results."
)
UNRANKED = "Metrics that their evaluator does not declare are neither ranked nor bold."
UNDECLARED = "Nothing is bold: the evaluator does not declare whether higher values are better."
SEVERAL_PRETRAININGS = (
    "Rows with several pre-trainings: the sd is over all results, and the interval (Student's t) covers other seeds "
    "and other pre-trainings. They are compared over both."
)
CUT = "Intervals (Student's t over seeds) are clipped to the metric's range."
INCOMPLETE = "incomplete"  # status of a number of several tasks with a missing result
STATUS_WORDS = {
    "ok": "not measured",
    "failed": "failed",
    "blocked": "failed",
    "not-applicable": "not applicable",
    "missing": "missing",
}


def bold(board: Leaderboard, metric: str) -> Iterator[str]:
    """Yield the meaning of bold in the table of a metric, or the reason why nothing is bold."""
    nothing = nothing_bold(board, metric)
    if nothing:
        yield nothing
    else:
        yield BOLD
        yield from ranking(board, metric)


def nothing_bold(board: Leaderboard, metric: str) -> str:
    """Return the reason why nothing can be bold in the table of a metric, or ""."""
    declared = [board.metric(evaluator, metric) for evaluator in board.giving(metric)]
    if declared and not any(declared):
        return UNDECLARED
    return ONE_SEED if _seeds(board, metric) == {1} else ""


def _seeds(board: Leaderboard, metric: str) -> set[int]:
    """Return the numbers of results behind the means of a declared metric; 0 for rows that depend on no seed."""
    found = (s for s in board.summary if s.metric == metric and board.metric(s.evaluator, metric))
    return {0 if summary.seedless else summary.results for summary in found}


def no_seed(board: Leaderboard, metric: str) -> Iterator[str]:
    """Yield the meaning of (no seed) if the table of a metric has such rows."""
    if any(summary.metric == metric and summary.seedless for summary in board.summary):
        yield NO_SEED


def of_pretrainings(board: Leaderboard, metric: str) -> Iterator[str]:
    """Yield the meaning of numbers over several pre-trainings, and the rows with one of several possible ones."""
    found = [summary for summary in board.summary if summary.metric == metric and summary.pretrainings]
    if any(summary.pretrainings > 1 for summary in found):
        yield SEVERAL_PRETRAININGS
    holes = [one for one in found if one.results > 1 and one.ci95 is None]
    if holes:
        yield f"No interval for {some(_names(holes))}: not all pre-trainings have the same seeds."
    one = [summary for summary in found if summary.pretrainings == 1 and _varies(board, summary)]
    if one:
        yield f"One pre-training, so that intervals leave out others: {some(_names(one))}."


def _varies(board: Leaderboard, summary: Summary) -> bool:
    """Return whether a row depends on a pre-training seed."""
    results = board.cell(summary.method, summary.task, summary.evaluator)
    return any(result.row.pretrain_seed is not None for result in results)


def _names(found: Sequence[Summary]) -> list[str]:
    return list(dict.fromkeys(summary.method for summary in found))


def of_seeds(summary: Summary, results: Sequence[Result]) -> str:
    """Return "2/3 seeds" if some results lack the metric, "no seed" if it depends on none, or ""."""
    good = sum(summary.metric in result.metrics for result in results)
    missing = "" if good == len(results) else f"{good}/{len(results)}"
    if summary.seedless:
        return "no seed"
    several = len({result.row.pretrain_seed for result in results}) > 1
    seeded = any(result.row.seed is not None for result in results)
    return missing and f"{missing} {'seeds' if not several else 'results' if seeded else 'pre-trainings'}"


def counted(summary: Summary) -> str:
    """Return the number of results behind a mean: "3 seeds", "2 pre-trainings", or "15 results" of both."""
    if summary.results == summary.n:
        return f"{summary.n} seed{'s' if summary.n > 1 else ''}"
    of = "pre-trainings" if summary.results == summary.pretrainings else "results"
    return f"{summary.results} {of}"


def ranked_separately(board: Leaderboard) -> Iterator[str]:
    """Yield sentences about rows that are ranked only with rows of the same kind, or never."""
    words = _words_apart(board)
    named = [f"{method} ({', '.join(found)})" for method, found in words.items() if found and ON_TEST not in found]
    if named and len({tuple(found) for found in words.values()}) > 1:
        yield f"Ranked only with rows of the same kind: {', '.join(named)}."
    yield from never_ranked(board)


def never_ranked(board: Leaderboard) -> Iterator[str]:
    """Yield a sentence about rows whose parameters were chosen on the test part."""
    if named := [method for method, found in _words_apart(board).items() if ON_TEST in found]:
        yield f"Never ranked, because {ON_TEST}: {', '.join(named)}."


def _words_apart(board: Leaderboard) -> dict[str, dict[str, None]]:
    """Return the protocol words by method that exclude it from the ranking of others."""
    words: dict[str, dict[str, None]] = {}
    for result in board.results:
        if result.status == "ok":
            words.setdefault(result.row.method, {}).update(dict.fromkeys(apart(result.row.protocol)))
    return words


def ranking(board: Leaderboard, metric: str) -> Iterator[str]:
    """Yield sentences about rows without a rank, and about the comparison of rows with two seeds."""
    declared = [board.metric(evaluator, metric) for evaluator in board.giving(metric)]
    seeds = _seeds(board, metric)
    if None in declared:
        yield UNRANKED
    if 1 in seeds:
        yield SOME_ONE_SEED
    if 2 in seeds:
        yield TWO_SEEDS


def cut(board: Leaderboard, metric: str) -> Iterator[str]:
    """Yield a sentence if an interval of the metric is clipped to the metric's range."""
    for summary in board.summary:
        known = board.metric(summary.evaluator, metric)
        if summary.metric == metric and known and summary.ci95 and summary.sd and {*summary.ci95} & {*known.ends}:
            yield CUT
            return


def few_seeds(pairs: Sequence[Paired]) -> Iterator[str]:
    """Yield warnings about differences over no seed, one seed or two seeds."""
    counts = {(pair.difference.n, pair.pretrainings > 1) for pair in pairs if pair.seedless < 2}
    if (2, False) in counts:
        yield "Intervals over two seeds are only a hint."
    if (2, True) in counts:
        yield "Intervals over two pre-trainings are only a hint."
    if (1, False) in counts:
        yield "Differences over one seed have no interval and may be noise."
    if any(pair.seedless == 1 for pair in pairs):
        yield ONE_FOR_ALL
    if any(pair.seedless == 2 for pair in pairs):
        yield OVER_QUERIES
    if any(pair.pretrainings > 1 for pair in pairs):
        yield "Rows with several pre-trainings are paired by seed and pre-training; intervals cover others of both."
    unpaired = [f"{pair.method} on {pair.task} ({pair.unpaired})" for pair in pairs if pair.unpaired]
    if unpaired:
        yield (
            "Results left out of differences, because the other row has none with the same seed and pre-training: "
            f"{some(unpaired)}."
        )


def without_difference(board: Leaderboard, against: str, metric: str, pairs: Sequence[Paired]) -> Iterator[str]:
    """Yield a sentence by column about the methods that share no seed with the method `against`."""
    if board.methods == [against]:
        yield f"No other method to compare with {against}."
    found = {(pair.method, pair.task, pair.evaluator) for pair in pairs}
    several = len(board.evaluators) > 1
    label = NAMES.get(metric, metric)
    for task in board.tasks:
        for evaluator in board.giving(metric):
            where = f"{task} by {evaluator}" if several else task
            cells = [m for m in board.methods if m != against and board.cell(m, task, evaluator)]
            left_out = [m for m in cells if (m, task, evaluator) not in found]
            if left_out and not replicates(board.cell(against, task, evaluator), metric):
                yield f"No differences on {where}: {against} has no {label}."
            elif left_out:
                yield f"No difference on {where} for {some(left_out)}: no seed has {label} for both."


def status_word(results: Sequence[Result]) -> str:
    """Return the status of a cell without a number in a word or two; "-" for a cell that is not in the matrix."""
    states = [result.status for result in results]
    if states == [INCOMPLETE]:
        return results[0].error.partition(":")[0]  # "2 of 3 tasks"
    return STATUS_WORDS["ok" if "ok" in states else states[0]] if states else "-"


def without_number(board: Leaderboard, metric: str) -> list[str]:
    """Return the cells without a metric and their reasons, without duplicates; text of plugins is not escaped."""
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
    """Return a sentence for each evaluator that gave no value of the metric: cells (and seeds), and its own metrics."""
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
    """Return the reason why an evaluated cell lacks a metric."""
    names = ", ".join(NAMES.get(name, name) for name in given) or "nothing"
    return f"its evaluator gives {names}, not {NAMES.get(metric, metric)}"


def some(names: Sequence[str]) -> str:
    """Return the first three names and the number of others."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def rule_warnings(board: Leaderboard, metric: str) -> list[str]:
    """Return a sentence for each column whose rows follow different rules, and one if the evaluators of a metric do."""
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
                    f"Rows on {task} by {evaluator} follow different rules and are not ranked together: "
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
        yield f"Evaluators follow different rules; compare only numbers of the same evaluator: {'; '.join(texts)}."


def _words(kind: Sequence[str], kinds: Iterable[Sequence[str]]) -> str:
    """Return the rules of one group that not all groups share."""
    shared = set.intersection(*map(set, kinds))
    return ", ".join(word for word in kind if word not in shared) or "no extra rule"
