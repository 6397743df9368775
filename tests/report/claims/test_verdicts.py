"""Verdicts on claims, by hand: better, equal and ordered rows, what cannot be tested, and what is said of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from reidbench.components import Metric
from reidbench.matrix.claims import Claim, ClaimRule, Kind
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Result
from reidbench.report.claims.lines import lines
from reidbench.report.claims.sentences import rule, why
from reidbench.report.claims.verdicts import Claims, ends, verdicts
from reidbench.report.results import Declared, summarise

RULE = ClaimRule()
Values = Mapping[str, Mapping[str, Sequence[float]]]  # row -> task -> percent by seed


def result(method: str, task: str, seed: int | None, percent: float, pretrained: int | None = None) -> Result:
    row = Row(
        method, task, "cosine", seed, pretrained, f"{method} {task} {seed} {pretrained}", pretrained=bool(pretrained)
    )
    return Result(row, "ok", {"mAP": percent / 100})


def board(values: Values, *more: Result, declared: Declared | None = None) -> Leaderboard:
    found = [
        result(method, task, seed, percent)
        for method, tasks in values.items()
        for task, several in tasks.items()
        for seed, percent in enumerate(several)
    ]
    return Leaderboard("T", (*found, *more), tuple(summarise((*found, *more), declared)), declared)


def own(result: Result) -> frozenset[str]:
    """Each result has a separate training."""
    return frozenset({result.row.key or ""})


def claim(kind: Kind, *rows: str, on: Sequence[str] = ("x",), **more: object) -> Claim:
    return Claim(f"{kind} {rows}", kind, rows, "mAP", "cosine", tuple(on), **more)  # type: ignore[arg-type]


def judge(values: Values, *claims: Claim, alpha: float = 0.05) -> Claims:
    return verdicts(board(values), claims, ClaimRule(alpha), own)


def sentence(values: Values, one: Claim) -> str:
    found = judge(values, one)
    return why(board(values), found, found.judged[0])


def two(*differences: float, task: str = "x", base: float = 20.0) -> dict[str, dict[str, list[float]]]:
    """Rows a and b, a better by these points in each seed."""
    other = [base + place for place in range(len(differences))]  # seeds differ by more than rows do: they are paired
    return {"a": {task: [one + d for one, d in zip(other, differences, strict=True)]}, "b": {task: other}}


# ---------------------------------------------------------------------- one row better than another
def test_a_better_row_is_a_paired_t_test() -> None:
    """Differences 4, 5, 6, 7, 8: mean 6, error sqrt(2.5 / 5), t = 8.4853, 4 degrees of freedom: p = 0.000529."""
    values = two(4, 5, 6, 7, 8)
    (one,) = judge(values, claim("better", "a", "b")).judged
    t = 6 / math.sqrt(0.5)
    whole = 1 + t * t / 4
    p = 0.5 - 0.375 * t / math.sqrt(whole) * (1 - t * t / whole / 12)
    assert (one.p, one.p_holm, one.verdict) == (pytest.approx(p), pytest.approx(p), "reproduced")
    effect = one.pairs[0].effect
    assert effect is not None
    interval = ends(one, effect, 0.05)
    half = 2.131847 * math.sqrt(0.5)
    assert (100 * interval.value, 100 * interval.low, 100 * interval.high) == pytest.approx((6, 6 - half, 6 + half))
    assert one.pairs[0].seeds == 5
    (line,) = lines(board(values), judge(values, claim("better", "a", "b")))
    assert line[1:9] == (
        "a > b; mAP on x", "–", "+6.0", "[+4.5, +7.5]", "5", "< 0.001", "0.99", "reproduced",
    )  # fmt: skip
    assert line[9] == "The difference is above 0."


CASES = {
    "reversed": (
        two(-4, -5, -6, -7, -8), {}, "refuted",
        "A difference of 3 points or more is excluded; the whole interval is below 0: b is better.",
    ),
    "too small": (
        two(0.4, -0.3, 0.2, -0.4, 0.1), {}, "refuted", "A difference of 3 points or more is excluded.",
    ),
    "small but there": (
        two(0.8, 0.9, 1.0, 1.1, 1.2), {}, "reproduced",
        "The difference is above 0 and below 3 points: smaller than the least effect that counts.",
    ),
    "not above the margin": (
        two(4, 5, 6, 7, 8), {"margin": 9.0}, "refuted", "A difference of 9 points or more is excluded.",
    ),
    "above the margin": (two(4, 5, 6, 7, 8), {"margin": 2.0}, "reproduced", "The difference is above 2 points."),
    "spread": (
        two(-4, 9, 0, 8, -2), {}, "undecided",
        "The difference is neither significantly above 0 nor significantly below 3 points.",
    ),
    "of a paper": (
        two(0.4, -0.3, 0.2, -0.4, 0.1), {"effect": 0.2}, "undecided",
        "The difference is neither significantly above 0 nor significantly below 0.2 points.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_verdicts_on_a_better_row(case: str) -> None:
    values, more, verdict, said = CASES[case]
    one = claim("better", "a", "b", **more)
    assert judge(values, one).judged[0].verdict == verdict
    assert sentence(values, one).startswith(said)


def test_less_is_better_where_the_metric_says_so() -> None:
    metric = Metric("median-rank", better="lower", unit="rank", range=(1, None))
    found = [
        Result(Row(m, "x", "cosine", seed, None, f"{m} {seed}"), "ok", {"median-rank": value + seed})
        for m, several in {"a": [2.0, 2.1, 2.2], "b": [9.0, 9.5, 9.2]}.items()
        for seed, value in enumerate(several)
    ]
    shown = Leaderboard("T", tuple(found), (), {"cosine": {"median-rank": metric}})
    given = Claim("S", "better", ("a", "b"), "median-rank", "cosine", ("x",), margin=5, effect=1)
    judged = verdicts(shown, [given], RULE, own)
    assert judged.judged[0].verdict == "reproduced"
    (line,) = lines(shown, judged)
    assert (line[1], line[3]) == ("a > b; median-rank in rank, lower is better on x", "+7.133")
    assert line[9] == "The difference is above 5 rank."


def test_a_shared_row_without_a_seed_pairs_with_every_seed() -> None:
    values = {"a": {"x": [24.0, 25.0, 26.0]}}
    found = verdicts(board(values, result("b", "x", None, 20)), [claim("better", "a", "b")], RULE, own)
    assert found.judged[0].pairs[0].tasks[0].differences[0] == pytest.approx([0.04, 0.05, 0.06])
    assert found.judged[0].verdict == "reproduced"


# ---------------------------------------------------------------------- several claims, several tasks
def test_holm_is_over_all_claims_of_the_file() -> None:
    """p 0.024 of 1, 2, 3, 4, 0 twice, under two names, and a third claim: three times the smallest, for both."""
    values = two(1, 2, 3, 4, 0) | {"c": two(1, 2, 3, 4, 0)["b"]}
    alone = judge(values, claim("better", "a", "b")).judged[0]
    assert alone.verdict == "reproduced"
    assert 0.02 < alone.p < 0.03
    three = judge(values, claim("better", "a", "b"), claim("better", "a", "c"), claim("better", "a", "z")).judged
    assert [one.p_holm for one in three[:2]] == pytest.approx([3 * alone.p] * 2)
    assert [one.verdict for one in three] == ["undecided"] * 3  # what could not be tested counts as one of them
    assert math.isnan(three[2].p_holm)
    found = judge(values, *(one.claim for one in three))
    assert "(it would be reproduced as the only claim of the file)" in why(board(values), found, found.judged[0])


def test_tasks_vary_independently_unless_they_share_a_training() -> None:
    """Differences 1, 2, 3 and 5, 4, 3: apart 1/4 + 1/4 thirds of a variance; seed by seed 3, 3, 3 without any."""
    values = {name: {**two(1, 2, 3)[name], **two(5, 4, 3, task="y")[name]} for name in ("a", "b")}
    given = claim("better", "a", "b", on=("x", "y"))
    shown = board(values)
    apart = verdicts(shown, [given], RULE, own).judged[0]
    effect = apart.pairs[0].effect
    assert effect is not None
    assert apart.pairs[0].groups == (("x",), ("y",))
    assert (100 * effect.value, 100 * effect.error) == pytest.approx((3, math.sqrt(1 / 6)))
    assert effect.freedom == pytest.approx(4)
    shared = verdicts(shown, [given], RULE, lambda one: frozenset({f"{one.row.method} {one.row.seed}"})).judged[0]
    assert shared.pairs[0].groups == (("x", "y"),)
    assert shared.pairs[0].effect is not None
    assert shared.pairs[0].effect.error == 0
    # a training that all seeds have in common makes nothing vary together
    fixed = verdicts(shown, [given], RULE, lambda one: own(one) | {"pre-training"}).judged[0]
    assert fixed.pairs[0].groups == (("x",), ("y",))


def test_tasks_are_joined_over_others() -> None:
    values = {name: {task: two(1, 2, 3)[name]["x"] for task in "xyz"} for name in ("a", "b")}
    names = {"x": "one", "y": "two", "z": "one"}
    joined = verdicts(
        board(values),
        [claim("better", "a", "b", on="xyz")],
        RULE,
        lambda one: frozenset(
            {f"{names[one.row.task]} {one.row.seed}"} | ({f"two {one.row.seed}"} if one.row.task == "x" else set())
        ),
    )
    assert joined.judged[0].pairs[0].groups == (("x", "y", "z"),)


def test_each_task_is_shown_and_another_sign_is_named() -> None:
    values = {name: {**two(7, 8, 9)[name], **two(-2, -1, -3, task="y")[name]} for name in ("a", "b")}
    given = claim("better", "a", "b", on=("x", "y"))
    found = judge(values, given)
    (line,) = lines(board(values), found)
    assert (line[1], line[3]) == ("a > b; mAP on all tasks", "+3.0 (x +8.0, y -2.0)")
    assert found.judged[0].verdict == "undecided"
    assert line[9].startswith(
        "The claim is significant for the mean over tasks, but is not true on y (-2.0). The power to detect 3 "
    )
    assert "At the observed difference no number of seeds decides it." in line[9]  # the mean is the least that counts
    assert found.judged[0].seeds_to_decide is None
    split = {name: {**two(2.9, 4.4, 5.9)[name], **two(-1.9, -0.4, 1.1, task="y")[name]} for name in ("a", "b")}
    assert judge(split, given).judged[0].seeds_to_decide == needed(1.5 / math.sqrt(2), 1, 0.05, freedom=2)
    assert "is not true on y (-0.4). " in (said := sentence(split, given))
    assert "At the observed difference it would be refuted with " in said
    few = {name: {**two(-1, 9, 4)[name], **two(-3, 1, -1, task="y")[name]} for name in ("a", "b")}
    assert "neither significantly above 0" in (said := sentence(few, given))
    assert "The sign is opposite on y (-1.0)." in said


def test_opposite_effects_on_two_tasks_do_not_make_rows_equal() -> None:
    values = {name: {**two(6, 6.1, 5.9)[name], **two(-6, -6.1, -5.9, task="y")[name]} for name in ("a", "b")}
    (one,) = judge(values, claim("equal", "a", "b", on=("x", "y"), margin=2)).judged
    assert one.p_holm < 0.001
    assert one.verdict == "undecided"
    said = sentence(values, claim("equal", "a", "b", on=("x", "y"), margin=2))
    assert said.startswith("The claim is significant for the mean over tasks, but is not true on x (+6.0), y (-6.0).")
    near = {name: {**two(1, 1.1, 0.9)[name], **two(-1, -1.1, -0.9, task="y")[name]} for name in ("a", "b")}
    assert judge(near, claim("equal", "a", "b", on=("x", "y"), margin=2)).judged[0].verdict == "reproduced"


def test_an_order_holds_on_each_task() -> None:
    first = {"a": {"x": [40, 41, 42]}, "b": {"x": [30, 31, 32.1]}, "c": {"x": [20, 21.1, 22]}}
    second = {"a": [40, 41, 42.1], "b": [30, 31, 32], "c": [31, 32, 33.1]}
    values = {name: {**tasks, "y": second[name]} for name, tasks in first.items()}
    given = claim("order", "a", "b", "c", on=("x", "y"))
    assert judge(values, given).judged[0].verdict == "undecided"
    assert "but is not true on y (-1.0): b and c." in sentence(values, given)
    assert judge(first, claim("order", "a", "b", "c")).judged[0].verdict == "reproduced"


def test_pre_trainings_are_crossed_with_seeds() -> None:
    """Differences by pre-training 2, 4 and 6, by seed -1, 0 and 1 added: variance 4 / 3 and 1 / 3."""
    rows = [result("a", "x", seed, 20 + 2 * p + seed, p) for p in (1, 2, 3) for seed in (-1 + 1, 1, 2)]
    rows += [result("b", "x", seed, 20) for seed in (0, 1, 2)]
    found = verdicts(board({}, *rows), [claim("better", "a", "b")], RULE, own)
    effect = found.judged[0].pairs[0].effect
    assert effect is not None
    assert 1e4 * effect.error**2 == pytest.approx(4 / 3 + 1 / 3)
    (line,) = lines(board({}, *rows), found)
    assert line[5] == "3 x 3 pre-trainings"
    one = [row for row in rows if row.row.pretrain_seed in (1, None)]
    few = verdicts(board({}, *one), [claim("better", "a", "b")], RULE, own)
    assert "There is only one pre-training: the spread over others is unknown." in lines(board({}, *one), few)[0][9]


# ---------------------------------------------------------------------- equal rows, orders
def test_equal_rows_are_two_one_sided_tests_of_every_two() -> None:
    near = {"a": {"x": [20.0, 21, 22]}, "b": {"x": [20.1, 21, 21.9]}, "c": {"x": [20.2, 21.1, 21.8]}}
    one = judge(near, claim("equal", "a", "b", "c", margin=2.0)).judged[0]
    assert len(one.pairs) == 3
    # a - c: -0.2, -0.1, 0.2: mean -1/30, variance 13/300; t = (2 - 1/30) / sqrt(13/900), 2 degrees of freedom
    t = (2 - 1 / 30) / math.sqrt(13 / 900)
    assert one.p == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)))
    assert (one.verdict, one.shown.first, one.shown.second) == ("reproduced", "a", "c")
    far = near | {"c": {"x": [30.0, 31.2, 32.9]}}
    assert judge(far, claim("equal", "a", "b", "c", margin=2.0)).judged[0].verdict == "refuted"
    text = sentence(far, claim("equal", "a", "b", "c", margin=2.0))
    assert text == "The difference of a and c is above 2 points."
    wide = near | {"c": {"x": [20.0, 27.0, 17.0]}}
    said = sentence(wide, claim("equal", "a", "b", "c", margin=2.0))
    assert said.startswith("Not all differences are significantly below 2 points, and none is significantly above it.")
    assert "The power to show that equal rows are equal is at least 0.00; 0.8 requires " in said


def test_an_order_holds_where_each_step_does() -> None:
    values = {"a": {"x": [30.0, 31.2, 32]}, "b": {"x": [25.0, 26, 27.3]}, "c": {"x": [20.0, 21.1, 22]}}
    first, second = (judge(values, claim("better", *rows)).judged[0].p for rows in (("a", "b"), ("b", "c")))
    one = judge(values, claim("order", "a", "b", "c")).judged[0]
    assert (one.p, one.verdict) == (max(first, second), "reproduced")
    assert sentence(values, one.claim) == "Each row is better than the next: the differences are above 0."
    turned = judge(values, claim("order", "b", "a", "c")).judged[0]
    assert (turned.verdict, turned.shown.first) == ("refuted", "b")
    assert sentence(values, turned.claim).startswith("The order is reversed: a is better than b.")
    close = values | {"b": {"x": [20.4, 20.9, 22.2]}}  # a step that is small refutes no order
    undecided = judge(close, claim("order", "a", "b", "c")).judged[0]
    assert (undecided.verdict, undecided.shown.first) == ("undecided", "b")
    assert lines(board(close), judge(close, undecided.claim))[0][3].startswith("b - c: +0.1")


# ---------------------------------------------------------------------- what cannot be tested
def lacking(status: str, error: str) -> Result:
    return Result(Row("a", "x", "cosine", 1, None, None, error), status, error=error)


def test_a_missing_result_leaves_a_claim_undecided_with_the_reason() -> None:
    values = {"b": {"x": [20.0, 21.0]}}
    for status, word in (
        ("failed", "failed"),
        ("blocked", "failed"),
        ("missing", "missing"),
        ("not-applicable", "not applicable"),
    ):
        shown = board(values, result("a", "x", 0, 30), lacking(status, "its reason"))
        found = verdicts(shown, [claim("better", "a", "b")], RULE, own)
        one = found.judged[0]
        assert (one.verdict, math.isnan(one.p), one.seeds_to_see) == ("undecided", True, None)
        assert why(shown, found, one) == f"Not tested: a on x: {word}: its reason (1 of 2 results)."
        assert lines(shown, found)[0][3:8] == ("–",) * 5


def test_what_gives_nothing_to_test_is_said() -> None:
    assert sentence(two(5), claim("better", "a", "b")) == (
        "Not tested: a claim requires at least 2 seeds, and there is 1 on x."
    )
    assert sentence(two(5, 6), claim("better", "a", "c")) == "Not tested: c on x is not among these results."
    fixed = board({}, result("a", "x", None, 30), result("b", "x", None, 20))
    found = verdicts(fixed, [claim("better", "a", "b")], RULE, own)
    assert "neither row depends on a seed, so the spread is unknown" in why(fixed, found, found.judged[0])
    unpaired = board({"a": {"x": [30.0, 31.0]}}, result("b", "x", 1, 20), result("b", "x", 2, 20))
    found = verdicts(unpaired, [claim("better", "a", "b")], RULE, own)
    assert "a and b on x lack results for the same seeds: seed 0, seed 2" in why(unpaired, found, found.judged[0])


def test_rows_that_are_one_result_are_not_compared() -> None:
    rows = [
        Result(Row(m, "x", "cosine", s, None, f"key {s}"), "ok", {"mAP": 0.2 + s / 10}) for m in "ab" for s in (0, 1)
    ]
    for given in (claim("better", "a", "b"), claim("equal", "a", "b", margin=1.0)):
        found = verdicts(board({}, *rows), [given], RULE, own)
        assert found.judged[0].verdict == "undecided"
        assert "a and b have identical results: there is nothing to compare" in found.judged[0].missing


def test_equal_differences_need_as_many_seeds_as_a_sign_test() -> None:
    """1/2 to the power of the seeds: 1/8 with three, 1/32 with five, 1/16 after Holm's correction of two claims."""
    given, level = claim("better", "a", "b"), claim("equal", "a", "b", margin=1.0)
    few = judge(two(5, 5, 5), given).judged[0]
    assert (few.verdict, few.p, few.seeds_to_see) == ("undecided", 1 / 8, 5)
    assert "All seeds have the same difference, so there is no spread." in sentence(two(5, 5, 5), given)
    assert "it would be reproduced with 5 seeds" in sentence(two(5, 5, 5), given)
    assert judge(two(5, 5, 5, 5, 5), given).judged[0].verdict == "reproduced"
    assert [one.verdict for one in judge(two(5, 5, 5, 5, 5), given, given).judged] == ["undecided"] * 2
    assert judge(two(0, 0, 0, 0, 0), given).judged[0].verdict == "refuted"
    assert judge(two(0, 0, 0, 0, 0), level).judged[0].verdict == "reproduced"


# ---------------------------------------------------------------------- power, the rule
def needed(spread: float, gap: float, level: float, power: float = 0.8, freedom: int = 1) -> int:
    """The seeds of a one-sided paired t test with this power, by the noncentral t distribution of scipy.stats."""
    from scipy.stats import nct, t

    n = 2
    while nct.sf(t.ppf(1 - level, freedom * (n - 1)), freedom * (n - 1), gap * math.sqrt(n) / spread) < power:
        n += 1
    return n


def test_seeds_that_would_decide() -> None:
    """Differences -4, 9, 0, 8, -2: mean 2.2, sd 5.933; with two claims at half of alpha."""
    values = two(-4, 9, 0, 8, -2)
    (one, _) = judge(values, claim("better", "a", "b"), claim("better", "b", "a")).judged
    spread = math.sqrt(((-6.2) ** 2 + 6.8**2 + 2.2**2 + 5.8**2 + 4.2**2) / 4)
    assert one.seeds_to_see == needed(spread, 3, 0.025)
    assert one.seeds_to_decide == needed(spread, 2.2, 0.025)  # 2.2 above 0, and only 0.8 below 3
    said = sentence(values, claim("better", "a", "b"))
    assert f"0.8 requires {needed(spread, 3, 0.05)} seeds." in said
    assert f"At the observed difference it would be reproduced with {needed(spread, 2.2, 0.05)} seeds." in said
    low = sentence(two(-5, 8, -1, 7, -3), claim("better", "a", "b"))  # the same, one point lower: 1.2, and 1.8 below 3
    few, many = needed(spread, 1.8, 0.05), needed(spread, 1.2, 0.05)
    assert (
        f"At the observed difference it would be refuted with {few} seeds, and reproduced as a small effect with "
        f"{many} seeds or more." in low
    )
    worse = sentence(two(-7.5, 5.5, -3.5, 4.5, -5.5), claim("better", "a", "b"))  # 3.5 points lower: -1.3
    assert f"At the observed difference it would be refuted with {needed(spread, 4.3, 0.05)} seeds." in worse


def test_a_step_between_0_and_the_margin_is_never_decided() -> None:
    found = judge(two(1.0, 1.2, 0.8), claim("order", "a", "b", margin=2.0))
    assert (found.judged[0].later, found.judged[0].seeds_to_decide) == ((), None)
    assert "At the observed difference no number of seeds decides it." in sentence(
        two(1.0, 1.2, 0.8), claim("order", "a", "b", margin=2.0)
    )


def pretrained(values: Values, count: int, seeds: int, spread: float) -> list[Result]:
    """Row a above b by `spread` times -1, 0, 1, ... in the pre-trainings, and by `values` in each seed."""
    return [
        result(method, "x", seed, 20 + (method == "a") * (values["a"]["x"][seed] + spread * (pre - 1)), pre + 1)
        for method in ("a", "b")
        for pre in range(count)
        for seed in range(seeds)
    ]


def test_required_seeds_are_those_of_pretrainings_too() -> None:
    """More seeds alone do not help if pre-trainings differ."""
    results = pretrained({"a": {"x": [4.0, 4.1]}}, 3, 2, 5.0)
    found = verdicts(board({}, *results), [claim("better", "a", "b")], RULE, own)
    (one,) = found.judged
    said = why(board({}, *results), found, one)
    assert f"requires {one.seeds_to_see} pre-trainings with {one.seeds_to_see} seeds each" in said
    single = pretrained({"a": {"x": [4.0]}}, 3, 1, 1.0)
    found = verdicts(board({}, *single), [claim("better", "a", "b")], RULE, own)
    assert "There is only one seed: the spread over others is unknown." in why(
        board({}, *single), found, found.judged[0]
    )


def test_a_refuted_claim_names_the_tasks_on_which_it_holds() -> None:
    """+4.5 and -1.1: the mean 1.7 is significantly above 0 and below 3, and one task contradicts the claim."""
    values = {name: {**two(4.4, 4.5, 4.6)[name], **two(-1.0, -1.1, -1.2, task="y")[name]} for name in ("a", "b")}
    given = claim("better", "a", "b", on=("x", "y"))
    assert judge(values, given).judged[0].verdict == "refuted"
    assert sentence(values, given) == (
        "A difference of 3 points or more is excluded; the mean over tasks is above 0, but not on each; the mean on x "
        "(+4.5) reaches it. The sign is opposite on y (-1.1)."
    )


def test_the_power_of_several_pairs_is_that_of_all_together() -> None:
    from scipy.stats import nct, t

    values = {"a": {"x": [30.0, 34, 32]}, "b": {"x": [25.0, 26, 31]}, "c": {"x": [24.0, 27, 29]}}
    one = judge(values, claim("order", "a", "b", "c")).judged[0]
    spreads = (math.sqrt(37 / 3), math.sqrt(7 / 3))  # of 5, 8, 1 and of 1, -1, 2
    misses = [nct.cdf(t.ppf(0.95, 2), 2, 3 * math.sqrt(3) / spread) for spread in spreads]
    assert one.power == pytest.approx(max(0.0, 1 - sum(misses)))
    assert one.seeds_to_see == max(needed(spread, 3, 0.05, 0.9) for spread in spreads)


def test_an_effect_that_is_small_and_above_zero_is_named_both() -> None:
    """Differences 1.1, 1, 0.9, 1, 1: above 0 and below 3; others are both at alpha, and neither at a ninth of it."""
    values = two(1.1, 1, 0.9, 1, 1)
    found = judge(values, *[claim("better", "a", "b")] * 2)
    assert [one.verdict for one in found.judged] == ["reproduced"] * 2
    assert "smaller than the least effect that counts" in why(board(values), found, found.judged[0])
    many = judge(two(0.2, 1.3, 2.2, 1.8, 0.1), *[claim("better", "a", "b")] * 9)
    assert [one.verdict for one in many.judged] == ["undecided"] * 9
    assert all(max(one.p, one.against) <= 0.05 for one in many.judged)
    said = why(board(values), many, many.judged[0])
    assert (
        "(it would be reproduced as the only claim of the file, with a difference of 3 points or more excluded)" in said
    )


def test_an_order_needs_the_seeds_of_its_hardest_step_or_of_one_that_is_reversed() -> None:
    values = {"a": {"x": [30.0, 34, 32]}, "b": {"x": [25.0, 26, 31]}, "c": {"x": [24.0, 27, 29]}}
    one = judge(values, claim("order", "a", "b", "c")).judged[0]
    assert one.seeds_to_decide == needed(math.sqrt(7 / 3), 2 / 3, 0.05, 0.9)  # b - c: 1, -1, 2; one of two steps
    turned = judge(values, claim("order", "b", "a", "c")).judged[0]
    assert turned.seeds_to_decide == needed(math.sqrt(37 / 3), 14 / 3, 0.025)  # a - b: 5, 8, 1


def test_the_rule_is_said_with_its_numbers() -> None:
    found = judge(two(1, 2), claim("better", "a", "b"), claim("equal", "a", "b", margin=1.0), alpha=0.025)
    said = list(rule(found))
    assert "alpha is 0.025 for all 2 claims of the file (Holm" in said[0]
    assert "the least effect that counts is 3 points." in said[0]
    assert "the ends of the 95 % intervals correspond to these tests" in said[1]
    own_effects = judge(two(1, 2), claim("better", "a", "b", effect=1.5), claim("better", "b", "a"))
    assert "(claims may set another one: here 1.5 points, 3 points)" in next(rule(own_effects))
    alone = judge(two(1, 2), claim("better", "a", "b", effect=1), claim("order", "a", "b"))
    assert "3 points (claims may set another one: here 1 point)." in next(rule(alone))


def test_what_sets_rows_apart_is_said() -> None:
    rows = [
        Result(Row(m, "x", "cosine", s, None, f"{m} {s}", protocol=word), "ok", {"mAP": 0.2 + s / 10 + bonus})
        for m, word, bonus in (("a", "truth", 0.1), ("b", "no labels", 0.0))
        for s in (0, 1)
    ]
    found = verdicts(board({}, *rows), [claim("better", "a", "b")], RULE, own)
    assert "Only some rows share these protocol words of a: truth." in why(board({}, *rows), found, found.judged[0])


def test_what_the_author_says_comes_last() -> None:
    said = sentence(two(4, 5, 6), claim("better", "a", "b", why="Since hats help."))
    assert said.endswith(". Since hats help.")


def test_a_claim_that_a_task_contradicts_would_not_be_reproduced() -> None:
    """x +4.7, y -1.8 with a large spread: more seeds refute it, and never reproduce it."""
    values = {name: {**two(9, 0, 5)[name], **two(-6, 3, -2.5, task="y")[name]} for name in ("a", "b")}
    given = claim("better", "a", "b", on=("x", "y"))
    one = judge(values, given).judged[0]
    assert one.verdict == "undecided"
    assert [word for word, _ in one.later] == ["refuted"]
    assert "reproduced" not in sentence(values, given)
