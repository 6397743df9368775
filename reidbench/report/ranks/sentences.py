"""Sentences for a table of ranks: what was compared and left out, and the meaning of intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reidbench.components import Metric
from reidbench.report.units import described

from .cells import Ranks
from .comparison import Comparison, Groups

TITLE = "Ranks over tasks"
MEANING = (
    "Mean rank: 1 is the best on every task; equal values share the mean of their ranks. Win rate: share of the other "
    "methods that a method beats, averaged over tasks. Borda: one point per task for each method that it beats. Ties "
    "count half in both."
)
INTERVALS = (
    "Intervals (95 %) of mean ranks cover other queries and seeds, not other tasks: queries are drawn with "
    "replacement (bootstrap), and means over seeds from Student's t distribution with the standard deviation over "
    "seeds, and also over pre-trainings if there are several. Methods and tasks with the same seeds share draws."
)
GROUPS = (
    "Methods that share a letter do not differ significantly: neither ranks better in at least 97.5 % of the draws."
)
NO_GROUPS = "All methods differ significantly: of any two, one ranks better in at least 97.5 % of the draws."


def about(found: Comparison, known: Metric | None) -> str:
    """Return the heading of a comparison: metric, evaluator, and the words that its rows share."""
    return f"{described(found.metric, known)}, by {by(found)}"


def by(found: Comparison) -> str:
    """Return the evaluator and the words that the rows share."""
    return found.evaluator + (f" ({', '.join(found.kind)})" if found.kind else "")


def sentences(found: Comparison) -> Iterator[str]:
    """Yield all sentences of one comparison."""
    yield (
        f"Compared: {len(found.methods)} methods on the {len(found.tasks)} tasks for which all of them have complete "
        "results."
    )
    yield from left_out(found)
    yield from missing(found)
    if found.intervals is None:
        yield f"No intervals and no groups: {found.no_intervals}."
    else:
        yield from _of_intervals(found)
    yield from _of_test(found)


def left_out(found: Comparison) -> Iterator[str]:
    """Yield the methods and tasks that are not compared, by reason."""
    for what in ("method", "task"):
        reasons: dict[str, list[str]] = {}
        for one in found.left_out:
            if one.what == what:
                reasons.setdefault(one.why, []).append(one.name)
        for why, names in reasons.items():
            yield f"Left out, {what}{'s' if len(names) > 1 else ''} {_some(names, 12)}: {why}."


def missing(found: Comparison) -> Iterator[str]:
    """Yield the missing cells, shown as – and not imputed, by reason."""
    reasons: dict[str, list[str]] = {}
    for (method, task), why in found.missing.items():
        reasons.setdefault(why, []).append(f"{method} on {task}")
    for why, places in reasons.items():
        yield f"Missing results (shown as –, not imputed): {_some(places, 3)}: {why}."


def _of_intervals(found: Comparison) -> Iterator[str]:
    yield INTERVALS
    yield GROUPS if found.groups else NO_GROUPS
    if found.one_seed:
        yield (
            f"Methods with a single seed on some task: {_some(found.one_seed, 12)}. Their intervals cover other "
            "queries only, and they never differ significantly."
        )
    for tasks in found.same_images:
        yield f"{', '.join(tasks)} have the same test images and share the drawn queries."


def _of_test(found: Comparison) -> Iterator[str]:
    if found.test is None:
        yield f"No critical difference: {found.no_test}."
        return
    test = found.test
    chance = f"p = {test.p:.2g}" if test.p >= 0.001 else "p < 0.001"
    if test.p > 0.05:
        result = "does not reject the hypothesis that all methods have equal ranks, so no methods differ significantly"
    else:
        result = "rejects the hypothesis that all methods have equal ranks"
    yield (
        f"{test.name}'s test over tasks, 95 %: mean ranks that differ by at least {test.difference:.2f} (the critical "
        f"difference) differ significantly. Friedman's test, which precedes it, {result} ({chance}, Iman and "
        "Davenport's F)."
    )
    if found.same_images:
        yield (
            "The test assumes independent tasks. Tasks with the same test images are not independent, so it finds "
            "differences too easily."
        )


def refusals(ranks: Ranks) -> Iterator[str]:
    """Yield sentences about kinds without a comparison."""
    for evaluator, one in ranks.refused:
        kind = f" ({', '.join(one.kind)})" if one.kind else ""
        yield f"No ranks over tasks by {evaluator} for {_some(one.methods, 12)}{kind}: {one.why}."


def _some(names: Sequence[str], most: int) -> str:
    """Return the first names and the number of others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def letters(groups: Groups | None, methods: Sequence[str]) -> Mapping[str, str]:
    """Return the letters of the groups of each method; "" if it differs significantly from all others."""
    found: dict[str, list[str]] = {method: [] for method in methods}
    for number, group in enumerate(groups or ()):
        for method in group:
            found[method].append(letter(number))
    return {method: " ".join(several) for method, several in found.items()}


def letter(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ..., like columns of a spreadsheet."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
