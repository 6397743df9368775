"""What is said of claims: the rule in words, and of each claim why its verdict is what it is."""

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
    "Effects are in the unit that tables print (points where that is %), positive where the row named first is better. "
    "Rows are paired by seed and pre-training; a row that depends on no seed has its value for each of the other's. "
    "Over several tasks the effect is the mean over tasks. Tasks whose results share a training are averaged seed by "
    "seed; all others vary independently, seeds nested in tasks. The tasks are those that a claim names: intervals are "
    "about other seeds, not about other tasks."
)
REPRODUCED = (
    "Reproduced: p for is at most alpha. Of a better row: the effect is above 0, or above the claim's margin. Of equal "
    "rows: every two differ by less than the margin (two one-sided tests, the largest p). Of an order: each row is "
    "better than the next (the largest p)."
)
REFUTED = (
    "Refuted: else, p against is at most alpha. Of a better row: an effect as large as counts is excluded (as the "
    "published one, where that is smaller). Of equal rows: two of them differ by more than the margin. Of an order: a "
    "row is worse than the next."
)
UNDECIDED = (
    "Undecided: neither, or a result is missing. An effect that is shown to be above 0 counts as reproduced however "
    "small it is; where it is shown to be smaller than what counts, that is said."
)
NEEDED = (
    "The seeds that are needed are for one-sided paired t tests of the spread that was found, with power "
    f"{POWER:g} (noncentral t), at alpha divided by the number of claims, which is enough whatever the others come to."
)


MEANING = (PAIRED, REPRODUCED, REFUTED, UNDECIDED, NEEDED)


def rule(found: Claims) -> Iterator[str]:
    """The numbers of the rule by which claims are judged, as the matrix file has them; `MEANING` is that of all."""
    count = len(found.judged)
    claims = f"all {count} claims of the file together" if count > 1 else "the one claim of the file"
    counts = {_amount(one.counts, one.metric) for one in found.judged if not one.equal}
    own = f" (claims may have their own: here {', '.join(sorted(counts))})" if len(counts) > 1 else ""
    yield (
        f"The rule stands in the file: alpha is {found.rule.alpha:g} for {claims} (Holm's correction, of p for and of "
        f"p against), and the least effect that counts is {found.rule.effect:g} points{own}."
    )
    level = f"{100 * (1 - 2 * found.rule.alpha):g} %"
    yield (
        "Tests are one-sided, since a claim names its direction: the ends of the "
        f"{level} intervals are these tests before the correction."
    )


def why(board: Leaderboard, found: Claims, one: Judged) -> str:
    """Why the verdict of a claim is what it is, and what a reader of it must know."""
    if one.missing:
        said = [f"Not tested: {one.missing}"]
    elif one.verdict == "reproduced":
        said = [_reproduced(found, one)]
    elif one.verdict == "refuted":
        said = [_refuted(found, one)]
    else:
        said = [_undecided(found, one), *_seeds(one)]
    said += [*_beside(one), *_apart(board, one)]
    return " ".join([*(f"{text}." for text in said), *filter(None, [one.claim.why])])


# ---------------------------------------------------------------------- verdicts
def _reproduced(found: Claims, one: Judged) -> str:
    bound = _amount(one.margin, one.metric) if one.margin else "0"
    if one.equal:
        return f"Every two rows differ by less than {bound}"
    if one.claim.kind == "order":
        return f"Each row is better than the next: the differences are above {bound}"
    small = _interval(found, one, one.shown)[1] < one.least
    least = _amount(one.least, one.metric)
    beside = f", and its interval below {least}: it is smaller than what counts" if small else ""
    return f"The difference is above {bound}{beside}"


def _refuted(found: Claims, one: Judged) -> str:
    worst = one.shown
    if one.equal:
        return f"The difference of {_names(worst)} is above {_amount(one.margin, one.metric)}"
    if one.claim.kind == "order":
        return f"It is the other way: {worst.second} is better than {worst.first}"
    turned = f"; the whole interval is below 0, where {worst.second} is better"
    beside = turned if _interval(found, one, worst)[1] < 0 else ""
    return f"A difference of {_amount(one.least, one.metric)} or more is excluded{beside}"


def _undecided(found: Claims, one: Judged) -> str:
    alpha = found.rule.alpha
    alone = [word for word, p in (("reproduced", one.p), ("refuted", one.against)) if p <= alpha]
    corrected = f" (as the only claim of the file it would be {alone[0]})" if alone else ""
    margin = _amount(one.margin, one.metric)
    if one.equal:
        return f"Neither are all differences shown to be below {margin}, nor is one shown to be above it{corrected}"
    shown = f"above {margin}" if one.margin else "above 0"
    if one.claim.kind == "order":
        return f"Neither are all steps shown to be {shown}, nor is one shown to be below 0{corrected}"
    least = _amount(one.least, one.metric)
    return f"The difference is shown neither to be {shown} nor to be below {least}{corrected}"


def _seeds(one: Judged) -> Iterator[str]:
    """The power that there is, and the seeds that are needed."""
    goal = "to show rows that are equal as equal"
    if not one.equal:
        beyond = f" beyond {_amount(one.margin, one.metric)}" if one.margin else ""
        goal = f"to see {_amount(one.counts, one.metric)}{beyond}"
    yield f"The power {goal} is {one.power:.2f}; {POWER:g} takes {_count(one.seeds_to_see)}"
    yield f"At the observed difference {_count(one.seeds_to_decide)} would decide"


def _count(seeds: int | None) -> str:
    return f"more than {MOST_SEEDS} seeds" if seeds is None else f"{seeds} seeds"


# ---------------------------------------------------------------------- what must be known
def _beside(one: Judged) -> Iterator[str]:
    """Tasks on which the sign is another, rows that are the same there, seeds that were all alike, one pre-training."""
    tested = [(each, each.effect) for each in one.pairs if each.effect]
    for each, effect in tested:
        other = [on for on in each.tasks if on.mean * effect.value < 0]
        if other and not one.equal:
            tasks = ", ".join(f"{on.task} ({signed(on.mean, one.metric)})" for on in other)
            yield f"The sign is another on {tasks}{_of_pair(one, each)}"
        if same := [on.task for on in each.tasks if on.same]:
            yield f"Both rows have the very same results on {', '.join(same)}{_of_pair(one, each)}"
        if not effect.error:
            yield f"All seeds have the same difference, so that there is no spread{_of_pair(one, each)}"
    if any(each.pretrained and each.pretrainings == 1 for each, _ in tested):
        yield "One pre-training stands behind it: nothing is known of others"


def _of_pair(one: Judged, each: Pair) -> str:
    """Which two rows are meant, where a claim compares several."""
    return f": {_names(each)}" if len(one.pairs) > 1 else ""


def _apart(board: Leaderboard, one: Judged) -> Iterator[str]:
    """What sets rows apart that tables never rank with each other: test images seen, truth, another rule."""
    words: dict[str, set[str]] = {}
    for row in one.claim.rows:
        results = [result for task in one.claim.on for result in board.cell(row, task, one.claim.by)]
        words[row] = {word for result in results for word in kind_of(board, result.row.protocol)}
    common = set.intersection(*words.values())
    for row, own in words.items():
        if own - common:
            yield f"Not all rows have what {row} has: {', '.join(sorted(own - common))}"


# ---------------------------------------------------------------------- numbers
def signed(value: float, metric: Metric) -> str:
    """A difference in the metric's printed unit, with its sign."""
    return number(value, metric, "+")


def _amount(value: float, metric: Metric) -> str:
    """An amount with its unit: `3 points`, `0.5 rank`."""
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
