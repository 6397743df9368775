"""The verdict on each claim of a matrix file (reproduced, refuted or undecided) by the file's rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reidbench.components import Metric
from reidbench.matrix.claims import Claim, ClaimRule
from reidbench.matrix.stage import Plan
from reidbench.metrics.comparisons import effects
from reidbench.metrics.comparisons.effects import Effect
from reidbench.metrics.statistics import Interval, within
from reidbench.report.results import Leaderboard

from .pairs import OnTask, Pair, Trained, pair, trainings

Verdict = Literal["reproduced", "refuted", "undecided"]


@dataclass(frozen=True)
class Judged:
    """A claim with its pairs of rows, p-values and verdict.

    `p` is for the claim and `against` for its refutation, each from a one-sided test; `p_holm` and `against_holm` are
    corrected for all claims of the file. They are NaN for a claim that could not be tested; `missing` is the reason.
    Effects, `margin` and `counts` (the least effect that counts) are in the evaluator's own values, fractions if the
    unit is %. `power` is the probability of detecting an effect of `counts` beyond the margin (for equal rows: of
    showing equality if the true difference is 0) with these seeds, at alpha divided by the number of claims; for
    several pairs of rows, and for equal rows, it is a lower bound. `seeds_to_see` is the number of seeds for power 0.8.
    `later` are the verdicts with more seeds if the observed effects are the true ones, and the number of seeds from
    which on each is given; None for too many.
    """

    claim: Claim
    metric: Metric
    pairs: tuple[Pair, ...]
    margin: float
    counts: float
    p: float = math.nan
    against: float = math.nan
    p_holm: float = math.nan
    against_holm: float = math.nan
    verdict: Verdict = "undecided"
    power: float = math.nan
    seeds_to_see: int | None = None
    later: tuple[tuple[Verdict, int | None], ...] = ()

    @property
    def missing(self) -> str:
        """The reason why the claim could not be tested, or ""."""
        return "; ".join(dict.fromkeys(one.missing for one in self.pairs if one.missing))

    @property
    def least(self) -> float:
        """The effect whose exclusion refutes a claim of a better row: the least effect that counts, or the margin."""
        return max(self.margin, self.counts)

    @property
    def seeds_to_decide(self) -> int | None:
        """The number of seeds from which on the observed effects would decide the claim; None if no number does."""
        return self.later[0][1] if self.later else None

    @property
    def shown(self) -> Pair:
        """The deciding pair: the strongest refutation of a refuted claim, else the weakest support."""
        tested = [(one, one.effect) for one in self.pairs if one.effect]
        if self.missing or not tested:
            return self.pairs[0]
        return max(tested, key=lambda one: _doubt(self, one[1]))[0]

    @property
    def equal(self) -> bool:
        """Whether the claim is that rows are equal."""
        return self.claim.kind == "equal"

    def split(self, alpha: float) -> list[tuple[Pair, OnTask]]:
        """Return the tasks whose mean contradicts a claim that is significant over all tasks; empty if it is not."""
        if not self.p_holm <= alpha:
            return []
        return [(one, on) for one in self.pairs for on in one.tasks if not self.agrees(on.mean)]

    def agrees(self, mean: float) -> bool:
        """Return whether the mean of one task agrees with the claim."""
        return abs(mean) < self.margin if self.equal else mean > self.margin


@dataclass(frozen=True)
class Claims:
    """All claims of a matrix file with verdicts, and the rule."""

    rule: ClaimRule
    judged: tuple[Judged, ...]

    @property
    def level(self) -> float:
        """Alpha divided by the number of claims: a test at this level holds for any results of the other claims."""
        return self.rule.alpha / max(1, len(self.judged))


def judge(board: Leaderboard, plan: Plan) -> Claims:
    """Return the verdicts on all claims of a plan's file, from the results of its leaderboard."""
    return verdicts(board, plan.benchmark.claims, plan.benchmark.claim_rule, trainings(plan))


def verdicts(board: Leaderboard, claims: Sequence[Claim], rule: ClaimRule, trained: Trained) -> Claims:
    """Return the verdicts on claims from the results of a leaderboard; `trained` returns the trainings of a result."""
    tested = [_tested(board, claim, trained) for claim in claims]
    corrected = zip(effects.holm([one.p for one in tested]), effects.holm([one.against for one in tested]), strict=True)
    judged = [replace(one, p_holm=p, against_holm=q) for one, (p, q) in zip(tested, corrected, strict=True)]
    level = rule.alpha / max(1, len(judged))
    return Claims(rule, tuple(_with_power(replace(one, verdict=_verdict(one, rule)), level) for one in judged))


def ends(given: Judged, found: Effect, alpha: float) -> Interval:
    """Return the interval of an effect at level 1 - 2 alpha, clipped to the range of the metric's differences."""
    interval = effects.interval(found, alpha)
    low, high = given.metric.ends
    cut = within(interval.low, interval.high, (low - high, high - low))
    return replace(interval, low=cut[0], high=cut[1])


def _tested(board: Leaderboard, claim: Claim, trained: Trained) -> Judged:
    metric = board.metric(claim.sides[0].by, claim.metric) or Metric(claim.metric)
    scale = 100 if metric.unit == "%" else 1
    pairs = tuple(pair(board, claim, metric, sides, trained) for sides in claim.pairs)
    margin = claim.margin / scale
    found = Judged(claim, metric, pairs, margin, claim.effect / scale)
    known = [one.effect for one in pairs if one.effect]
    if found.missing or not known:
        return found
    return replace(found, p=_for(found, known), against=_against(found, known))


def _for(given: Judged, found: Sequence[Effect]) -> float:
    """Return p that the claim holds for all pairs."""
    return effects.all_of([_shows(given, one) for one in found])


def _against(given: Judged, found: Sequence[Effect]) -> float:
    """Return p that the claim fails for one pair: two rows differ, an order is reversed, or the effect is too small.

    The steps of an order may be smaller than the least effect that counts, since papers order rows with close values.
    """
    return effects.any_of([_refutes(given, one) for one in found])


def _shows(given: Judged, one: Effect) -> float:
    return effects.inside(one, given.margin) if given.equal else effects.above(one, given.margin)


def _refutes(given: Judged, one: Effect) -> float:
    if given.equal:
        return effects.outside(one, given.margin)
    return effects.below(one, 0.0 if given.claim.kind == "order" else given.least)


def _verdict(given: Judged, rule: ClaimRule) -> Verdict:
    """Return the verdict; a significant effect counts as reproduced even if it is small.

    Opposite effects on two tasks can have a significant mean, or cancel; they do not reproduce a claim about both.
    """
    if given.p_holm <= rule.alpha and not given.split(rule.alpha):
        return "reproduced"
    return "refuted" if given.against_holm <= rule.alpha else "undecided"


def _doubt(given: Judged, one: Effect) -> tuple[float, float]:
    """Return a sort key for the evidence against the claim in one pair: p, then the effect."""
    p = -_refutes(given, one) if given.verdict == "refuted" else _shows(given, one)
    return p, abs(one.value) if given.equal else -one.value


# ---------------------------------------------------------------------- power
def _with_power(given: Judged, level: float) -> Judged:
    """Add power and required seeds. All pairs must be significant: the chances that one is not add up (Bonferroni)."""
    found = [one.effect for one in given.pairs if one.effect]
    if given.missing or not found:
        return given
    gap = given.margin if given.equal else given.counts
    chance = effects.power_inside if given.equal else effects.power
    return replace(
        given,
        power=max(0.0, 1 - sum(1 - chance(one, gap, level) for one in found)),
        seeds_to_see=_needed(found, [gap] * len(found), level, both=given.equal),
        later=tuple(_later(given, found, level)),
    )


def _needed(found: Sequence[Effect], gaps: Sequence[float], level: float, both: bool = False) -> int | None:
    """Return the number of seeds from which on all effects are significant together with a power of at least 0.8."""
    wanted = 1 - (1 - effects.POWER) / len(found)
    tests = zip(found, gaps, strict=True)
    needed = [effects.seeds_needed(one, gap, level, both=both, wanted=wanted) for one, gap in tests]
    return None if None in needed else max(filter(None, needed))


def _later(given: Judged, found: Sequence[Effect], level: float) -> Iterator[tuple[Verdict, int | None]]:
    """Yield the verdicts that more seeds would give if the observed effects are the true ones.

    A difference between the margin and the least effect that counts is refuted by few seeds and reproduced, as a small
    one, by many. A step of an order between 0 and the margin is neither. A claim that is not true on each task is never
    reproduced.
    """
    values = [abs(one.value) if given.equal else one.value for one in found]
    shows = [given.margin - value if given.equal else value - given.margin for value in values]
    least = 0.0 if given.claim.kind == "order" else given.least
    refutes = [value - given.margin if given.equal else least - value for value in values]
    sides = 2 if given.equal else 1  # of the refuting test
    agreed = min(shows) > 0 and all(given.agrees(on.mean) for one in given.pairs for on in one.tasks)
    reproduced = _needed(found, shows, level) if agreed else None
    tests = [(one, gap) for one, gap in zip(found, refutes, strict=True) if gap > 0]
    needed = [effects.seeds_needed(one, gap, level / (sides * len(found))) for one, gap in tests]
    refuted = min(filter(None, needed), default=None)
    if tests and (reproduced is None or (refuted is not None and refuted < reproduced)):
        yield "refuted", refuted
    if agreed and (reproduced is not None or not tests):
        yield "reproduced", reproduced
