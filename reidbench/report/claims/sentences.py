"""Sentences about claims: the rule, and the reasons for each verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator

from reidbench.components import Metric
from reidbench.metrics.comparisons.effects import MOST_SEEDS, POWER
from reidbench.report.results import Leaderboard
from reidbench.report.standings import kind_of
from reidbench.report.units import number

from .pairs import Pair
from .verdicts import Claims, Judged, ends

TITLE = "Claims"
PAIRED = (
    "Effects are in the printed unit (points for %), positive if the first row is better. Rows are paired by seed and "
    "pre-training; a row that does not depend on the seed has the same value for each seed of the other. Over several "
    "tasks, the effect is the mean over tasks. Tasks that share a training are averaged seed by seed; all others vary "
    "independently, with seeds nested in tasks. Tasks are those that the claim names: intervals cover other seeds, not "
    "other tasks."
)
REPRODUCED = (
    "Reproduced: p for is at most alpha, and the mean of each task agrees. "
    "For a better row: the effect is above 0, or above the claim's margin. For "
    "equal rows: all pairs differ by less than the margin (two one-sided tests, largest p). For an order: each row is "
    "better than the next (largest p)."
)
REFUTED = (
    "Refuted: otherwise, if p against is at most alpha. For a better row: the least effect that counts is excluded "
    "(or the published effect, if smaller). For equal rows: two rows differ by more than the margin. For an order: a "
    "row is worse than the next."
)
UNDECIDED = (
    "Undecided: neither, for example because a result is missing, or because the mean over tasks is significant and "
    "that of one task disagrees. A refutation is about the mean over tasks alone. A significant effect above 0 counts "
    "as reproduced even if it is small; the explanation says so if it is significantly smaller than the least effect "
    "that counts."
)
NEEDED = (
    "Required seeds are for one-sided paired t tests with the observed spread, with power "
    f"{POWER:g} (noncentral t), at alpha divided by the number of claims, which suffices for any results of the "
    "others. If results vary with pre-trainings too, that number of both is required. For several pairs of rows, the "
    "power is that of all pairs together (a lower bound). They are for a new run with new seeds: adding seeds to "
    "existing results until a claim is decided makes wrong verdicts more frequent than alpha. If all seeds have the "
    "same difference, p is that of the sign test (1/2 to the power of the number of seeds)."
)


MEANING = (PAIRED, REPRODUCED, REFUTED, UNDECIDED, NEEDED)


def rule(found: Claims) -> Iterator[str]:
    """Yield the parameters of the matrix file's claim rule; `MEANING` explains the rule."""
    count = len(found.judged)
    claims = f"all {count} claims of the file" if count > 1 else "the one claim of the file"
    usual = _amount(found.rule.effect / 100, Metric("mAP", unit="%"))
    counts = {_amount(one.counts, one.metric) for one in found.judged if one.claim.kind == "better"}
    own = f" (claims may set another one: here {', '.join(sorted(counts))})" if counts - {usual} else ""
    yield (
        f"Rule of the file: alpha is {found.rule.alpha:g} for {claims} (Holm's correction, of p for and of p against), "
        f"and the least effect that counts is {usual}{own}."
    )
    level = f"{100 * (1 - 2 * found.rule.alpha):g} %"
    yield (
        "Tests are one-sided because a claim names its direction; the ends of the "
        f"{level} intervals correspond to these tests before the correction."
    )


def why(board: Leaderboard, found: Claims, one: Judged) -> str:
    """Return the explanation of a claim's verdict."""
    if one.missing:
        said = [f"Not tested: {one.missing}"]
    elif one.verdict == "reproduced":
        said = [_reproduced(found, one)]
    elif one.verdict == "refuted":
        said = [_refuted(found, one)]
    else:
        said = [_undecided(found, one), *_seeds(found, one)]
    said += [*_warnings(found, one), *_apart(board, one)]
    return " ".join([*(f"{text}." for text in said), *filter(None, [one.claim.why])])


# ---------------------------------------------------------------------- verdicts
def _reproduced(found: Claims, one: Judged) -> str:
    bound = _amount(one.margin, one.metric) if one.margin else "0"
    if one.equal:
        return f"All pairs of rows differ by less than {bound}"
    if one.claim.kind == "order":
        return f"Each row is better than the next: the differences are above {bound}"
    small = one.against_holm <= found.rule.alpha
    least = _amount(one.least, one.metric)
    more = f" and below {least}: smaller than the least effect that counts" if small else ""
    return f"The difference is above {bound}{more}"


def _refuted(found: Claims, one: Judged) -> str:
    worst = one.shown
    if one.equal:
        return f"The difference of {_names(worst)} is above {_amount(one.margin, one.metric)}"
    if one.claim.kind == "order":
        return f"The order is reversed: {worst.second} is better than {worst.first}"
    turned = f"; the whole interval is below 0: {worst.second} is better"
    more = turned if _interval(found, one, worst)[1] < 0 else ""
    if one.split(found.rule.alpha):
        more = (
            f"; the mean over tasks is above {_amount(one.margin, one.metric) if one.margin else '0'}, but not on each"
        )
    reached = [f"{on.task} ({signed(on.mean, one.metric)})" for on in worst.tasks if on.mean >= one.least]
    on = f"; the mean on {', '.join(reached)} reaches it" if reached else ""
    return f"A difference of {_amount(one.least, one.metric)} or more is excluded{more}{on}"


def _undecided(found: Claims, one: Judged) -> str:
    alpha = found.rule.alpha
    if split := one.split(alpha):
        tasks = ", ".join(f"{on.task} ({signed(on.mean, one.metric)}){_of_pair(one, each)}" for each, on in split)
        return f"The claim is significant for the mean over tasks, but is not true on {tasks}"
    alone = [word for word, p in (("reproduced", one.p), ("refuted", one.against)) if p <= alpha]
    least = _amount(one.least, one.metric)
    both = f", with a difference of {least} or more excluded" if len(alone) > 1 else ""
    corrected = f" (it would be {alone[0]} as the only claim of the file{both})" if alone else ""
    margin = _amount(one.margin, one.metric)
    if one.equal:
        return f"Not all differences are significantly below {margin}, and none is significantly above it{corrected}"
    shown = f"above {margin}" if one.margin else "above 0"
    if one.claim.kind == "order":
        return f"Not all steps are significantly {shown}, and none is significantly below 0{corrected}"
    return f"The difference is neither significantly {shown} nor significantly below {least}{corrected}"


def _seeds(found: Claims, one: Judged) -> Iterator[str]:
    """Yield the power of the test, and the required seeds."""
    goal = "to show that equal rows are equal"
    if not one.equal:
        beyond = f" beyond {_amount(one.margin, one.metric)}" if one.margin else ""
        goal = f"to detect {_amount(one.counts, one.metric)}{beyond}"
    least = "at least " if one.equal or len(one.pairs) > 1 else ""
    yield f"The power {goal} is {least}{one.power:.2f}; {POWER:g} requires {_count(one, one.seeds_to_see)}"
    if not one.later:
        yield "At the observed difference no number of seeds decides it"
        return
    (verdict, first), *then = one.later
    small = "".join(f", and {word} as a small effect with {_count(one, seeds)} or more" for word, seeds in then)
    yield f"At the observed difference it would be {verdict} with {_count(one, first)}{small}"


def _count(one: Judged, seeds: int | None) -> str:
    """Return a number of seeds, of pre-trainings, or of both if results vary with both."""
    count = f"more than {MOST_SEEDS}" if seeds is None else f"{seeds}"
    if all(each.pretrainings < 2 for each in one.pairs):
        return f"{count} seeds"
    several = any(each.seeds > 1 for each in one.pairs)
    return f"{count} pre-trainings{f' with {count} seeds each' if several and seeds else ''}"


# ---------------------------------------------------------------------- warnings
def _warnings(found: Claims, one: Judged) -> Iterator[str]:
    """Yield warnings: opposite signs on tasks, identical results, no spread, a single pre-training."""
    tested = [(each, each.effect) for each in one.pairs if each.effect]
    for each, effect in tested:
        other = [on for on in each.tasks if on.mean * effect.value < 0]
        told = one.verdict == "undecided" and one.split(found.rule.alpha)
        if other and not one.equal and not told:
            tasks = ", ".join(f"{on.task} ({signed(on.mean, one.metric)})" for on in other)
            yield f"The sign is opposite on {tasks}{_of_pair(one, each)}"
        if same := [on.task for on in each.tasks if on.same]:
            yield f"Both rows have identical results on {', '.join(same)}{_of_pair(one, each)}"
        if not effect.error:
            yield f"All seeds have the same difference, so there is no spread{_of_pair(one, each)}"
    if any(each.pretrained and each.pretrainings == 1 for each, _ in tested):
        yield "There is only one pre-training: the spread over others is unknown"
    if any(each.pretrainings > 1 and each.seeds == 1 for each, _ in tested):
        yield "There is only one seed: the spread over others is unknown"


def _of_pair(one: Judged, each: Pair) -> str:
    """Name the two rows if a claim compares several."""
    return f": {_names(each)}" if len(one.pairs) > 1 else ""


def _apart(board: Leaderboard, one: Judged) -> Iterator[str]:
    """Yield differences that exclude rows from a common ranking: test images seen, truth, another rule."""
    words: dict[str, set[str]] = {}
    for side in one.claim.sides:
        results = [result for task in one.claim.on for result in board.cell(side.row, task, side.by)]
        words[one.claim.name(side)] = {word for result in results for word in kind_of(board, result.row.protocol)}
    common = set.intersection(*words.values())
    for row, own in words.items():
        if own - common:
            yield f"Only some rows share these protocol words of {row}: {', '.join(sorted(own - common))}"


# ---------------------------------------------------------------------- numbers
def signed(value: float, metric: Metric) -> str:
    """Format a difference in the metric's printed unit, with its sign."""
    return number(value, metric, "+")


def _amount(value: float, metric: Metric) -> str:
    """Format an amount with its unit: `3 points`, `0.5 rank`."""
    if metric.unit == "%":
        shown = f"{100 * value:.10g}"
        return f"{shown} point{'' if shown == '1' else 's'}"
    return f"{value:.10g}{f' {metric.unit}' if metric.unit else ''}"


def _names(each: Pair) -> str:
    return f"{each.first} and {each.second}"


def _interval(found: Claims, one: Judged, each: Pair) -> tuple[float, float]:
    if each.effect is None:
        return math.nan, math.nan
    interval = ends(one, each.effect, found.rule.alpha)
    return interval.low, interval.high
