"""What a table of ranks says beside its numbers: what was compared, what was left out, and what intervals speak of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reidbench.components import Metric
from reidbench.report.units import described

from .cells import Ranks
from .comparison import Comparison, Groups

TITLE = "Ranks over tasks"
MEANING = (
    "Mean rank: 1 is the best on every task, and equal values share the mean of their ranks. Win rate: the share of "
    "the other methods that one beats, mean over tasks. Borda: a point for each other method that one beats on each "
    "task. A tie counts half in both."
)
INTERVALS = (
    "Intervals (95 %) of mean ranks are about other queries and other seeds, not about other tasks: queries are drawn "
    "with replacement (bootstrap), and means over seeds from Student's t distribution with the deviations of the "
    "seeds, the same draw for the same seeds of all methods and tasks."
)
GROUPS = "Methods with a letter in common are not set apart: neither ranks better in 97.5 % or more of the draws."
NO_GROUPS = "Every two methods are set apart: one ranks better in 97.5 % or more of the draws."


def about(found: Comparison, known: Metric | None) -> str:
    """What is compared, as a heading: metric, evaluator, and what rows of this kind have in common."""
    return f"{described(found.metric, known)}, by {by(found)}"


def by(found: Comparison) -> str:
    """The evaluator, and what rows of this kind have in common."""
    return found.evaluator + (f" ({', '.join(found.kind)})" if found.kind else "")


def sentences(found: Comparison) -> Iterator[str]:
    """All of it that belongs to one comparison."""
    yield (
        f"Compared: {len(found.methods)} methods on the {len(found.tasks)} tasks on which each of them has all of its "
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
    """The methods and tasks that are not compared, by reason."""
    for what in ("method", "task"):
        reasons: dict[str, list[str]] = {}
        for one in found.left_out:
            if one.what == what:
                reasons.setdefault(one.why, []).append(one.name)
        for why, names in reasons.items():
            yield f"Left out, {what}{'s' if len(names) > 1 else ''} {_some(names, 12)}: {why}."


def missing(found: Comparison) -> Iterator[str]:
    """The cells that are missing, shown as – and imputed by nothing, by reason."""
    reasons: dict[str, list[str]] = {}
    for (method, task), why in found.missing.items():
        reasons.setdefault(why, []).append(f"{method} on {task}")
    for why, places in reasons.items():
        yield f"Without a result, shown as – and filled in by nothing: {_some(places, 3)}: {why}."


def _of_intervals(found: Comparison) -> Iterator[str]:
    yield INTERVALS
    yield GROUPS if found.groups else NO_GROUPS
    if found.one_seed:
        yield (
            f"With a single seed on some task: {_some(found.one_seed, 12)}. Nothing is known of other seeds there, so "
            "that their intervals are about other queries only, and they are never set apart."
        )
    for tasks in found.same_images:
        yield f"{', '.join(tasks)} are tested on the same images, and are drawn the same queries."


def _of_test(found: Comparison) -> Iterator[str]:
    if found.test is None:
        yield f"No critical difference: {found.no_test}."
        return
    test = found.test
    chance = f"p = {test.p:.2g}" if test.p >= 0.001 else "p < 0.001"
    if test.p > 0.05:
        result = "does not reject that all methods rank alike, so that none are set apart"
    else:
        result = "rejects that all methods rank alike"
    yield (
        f"{test.name}'s test over tasks, 95 %: mean ranks differ where they are {test.difference:.2f} or more apart "
        f"(the critical difference). Friedman's test before it {result} ({chance}, Iman and Davenport's F)."
    )
    if found.same_images:
        yield (
            "The test takes tasks for independent. Tasks that are tested on the same images are not, so that it finds "
            "differences too easily."
        )


def refusals(ranks: Ranks) -> Iterator[str]:
    """What is not compared at all."""
    for evaluator, one in ranks.refused:
        kind = f" ({', '.join(one.kind)})" if one.kind else ""
        yield f"No ranks over tasks by {evaluator} of {_some(one.methods, 12)}{kind}: {one.why}."


def _some(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def letters(groups: Groups | None, methods: Sequence[str]) -> Mapping[str, str]:
    """By method: a letter for each group that it is in; empty for one that is set apart from all others."""
    found: dict[str, list[str]] = {method: [] for method in methods}
    for number, group in enumerate(groups or ()):
        for method in group:
            found[method].append(letter(number))
    return {method: " ".join(several) for method, several in found.items()}


def letter(number: int) -> str:
    """a, b, ..., z, aa, ab, ... as columns of a spreadsheet."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
