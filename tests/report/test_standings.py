"""Leaders over one seed (none), two seeds or no seed (compared over queries), and rows under different rules."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.matrix.stage import Row
from reidbench.report import Leaderboard, Place, Result, leaders, places
from reidbench.report.results import Declared, summarise
from reidbench.report.standings import per_query

PROTOCOL = "source labels, AP step"
QUERIES = 40


def rows_of(
    method: str, values: list[float], name: str = "mAP", protocol: str = PROTOCOL, first: int = 0
) -> list[Result]:
    return [
        Result(Row(method, "t", "cosine", seed, None, f"{method} {seed}", protocol=protocol), "ok", {name: value})
        for seed, value in enumerate(values, first)
    ]


def board(*results: Result, kept: dict[str, dict[str, np.ndarray]] | None = None, declared: Declared | None = None):
    return Leaderboard(
        "Title",
        results,
        tuple(summarise(results, declared)),
        declared,
        queries=lambda key: (kept or {}).get(key, {}),
    )


def queries_of(results: list[Result], spread: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """For each result, average precisions around its mAP, and a query without a true match."""
    kept = {}
    for result in results:
        ap = np.append(result.metrics["mAP"] + spread - spread.mean(), np.nan)
        kept[result.row.key or ""] = {"ap": ap, "valid": ~np.isnan(ap)}
    return kept


HARD = np.linspace(-0.3, 0.3, QUERIES)  # queries differ more than methods, in the same way for all
NOISE = 0.2 * np.random.default_rng(0).normal(size=QUERIES)


def test_rows_from_stand_in_data_are_ranked_with_their_like_only() -> None:
    real, stand_in = (
        rows_of("real", [0.3, 0.31, 0.3]),
        rows_of("tried", [0.9, 0.91, 0.9], protocol=f"{PROTOCOL}, stand-in data"),
    )
    found = board(*real, *stand_in)
    assert leaders(found, "t", "cosine", "mAP") == {"real", "tried"}
    assert places(found, "t", "cosine", "mAP") == {
        "real": Place(1, 1, 0, 1),
        "tried": Place(1, 1, 0, 1, ("stand-in data",)),
    }


def test_nobody_leads_over_one_seed() -> None:
    results = [*rows_of("a", [0.9]), *rows_of("b", [0.1])]
    kept = queries_of(results, HARD)
    found = board(*results, kept=kept)
    assert leaders(found, "t", "cosine", "mAP") == set()
    assert places(found, "t", "cosine", "mAP") == {}
    text = report.write(found, "md")
    assert "**" not in text
    assert "Nothing is bold: one seed does not separate methods." in text
    assert r"\textbf" not in report.write(found, "latex")


def crossed(method: str, *pretrainings: list[float | None]) -> list[Result]:
    """Values by pre-training and seed; None is a result that failed."""
    return [
        Result(row, "failed", error="boom") if value is None else Result(row, "ok", {"mAP": value})
        for pretrain, values in enumerate(pretrainings)
        for seed, value in enumerate(values)
        for row in [
            Row(method, "t", "cosine", seed, pretrain, f"{method} {pretrain} {seed}", "", PROTOCOL, pretrained=True)
        ]
    ]


def test_one_pretraining_that_is_better_by_chance_does_not_separate_rows() -> None:
    """Differences by pre-training .06, .01, -.03 (+- .06 by t(2)); each seed has the same within them."""
    a = crossed("a", [0.56, 0.57, 0.55], [0.51, 0.52, 0.50], [0.47, 0.48, 0.46])
    b = crossed("b", *[[0.50, 0.51, 0.49]] * 3)
    assert places(board(*a, *b), "t", "cosine", "mAP") == {"a": TIED, "b": TIED}
    clear = crossed("a", [0.66, 0.67, 0.65], [0.61, 0.62, 0.60], [0.64, 0.65, 0.63])
    assert places(board(*clear, *b), "t", "cosine", "mAP") == {"a": FIRST, "b": SECOND}
    without = rows_of("c", [0.50, 0.51, 0.49])  # no pre-training: the same value for each
    assert places(board(*clear, *without), "t", "cosine", "mAP") == {"a": FIRST, "c": SECOND}


def test_rows_are_compared_over_common_pretrainings() -> None:
    """b is .01 better in each pair, and lacks the pre-training that is better for both."""
    a = crossed("a", [0.40, 0.41, 0.42], [0.60, 0.61, 0.62])
    b = crossed("b", [0.41, 0.42, 0.43], [None, None, None])
    found = board(*a, *b)
    assert leaders(found, "t", "cosine", "mAP") == {"b"}
    assert places(found, "t", "cosine", "mAP") == {"b": FIRST, "a": SECOND}


def test_a_row_of_one_seed_is_not_ranked_beside_others() -> None:
    found = board(*rows_of("a", [0.5, 0.52, 0.51]), *rows_of("lone", [0.9]))
    assert leaders(found, "t", "cosine", "mAP") == {"a"}
    assert places(found, "t", "cosine", "mAP") == {"a": Place(1, 1, 0, 1)}
    assert "Rows with one seed are neither ranked nor bold" in report.write(found, "md")


def test_two_seeds_are_distinguished_by_their_queries() -> None:
    best, close, behind = rows_of("best", [0.60, 0.62]), rows_of("close", [0.58, 0.61]), rows_of("behind", [0.50, 0.53])
    kept = queries_of([*best, *behind], HARD) | queries_of(close, HARD + NOISE)
    found = board(*best, *close, *behind, kept=kept)
    # `behind` is .095 worse in every query; `close` is .015 +- .06 (2 x .2 / sqrt(40)) worse.
    assert leaders(found, "t", "cosine", "mAP") == {"best", "close"}
    assert places(found, "t", "cosine", "mAP")["behind"].rank == 3
    text = report.write(found, "md")
    assert "Two seeds separate few methods" in text
    assert "| **61.0** ±" in text
    assert "| 51.5 ±" in text


def test_two_seeds_without_queries_have_no_leader() -> None:
    results = [*rows_of("a", [0.90, 0.91]), *rows_of("b", [0.10, 0.11])]
    assert leaders(board(*results), "t", "cosine", "mAP") == set()
    other = {key: {**arrays, "ap": arrays["ap"] / 2} for key, arrays in queries_of(results, HARD).items()}
    assert leaders(board(*results, kept=other), "t", "cosine", "mAP") == set()  # they do not give the mAP
    assert "**" not in report.write(board(*results), "md")


def test_two_against_three_seeds_by_queries() -> None:
    three, two = rows_of("three", [0.60, 0.62, 0.61]), rows_of("two", [0.50, 0.53])
    found = board(*three, *two, kept=queries_of([*three, *two], HARD))
    assert places(found, "t", "cosine", "mAP") == {"three": Place(1, 1, 1, 2), "two": Place(2, 1, 0, 2)}


def test_two_seeds_decide_nothing_where_their_queries_cannot_be_compared() -> None:
    """Other queries are valid for the second: the same gain in both seeds, which would be beyond noise, is none."""
    a, b = rows_of("a", [0.60, 0.61]), rows_of("b", [0.50, 0.51])
    kept = queries_of(a, HARD)
    kept |= {key: {"ap": found["ap"][1:], "valid": found["valid"][1:]} for key, found in queries_of(b, HARD).items()}
    for found in (kept["b 0"], kept["b 1"]):
        found["ap"] += 0.5 - np.nanmean(found["ap"]) + (0.01 if found is kept["b 1"] else 0.0)
    board_ = board(*a, *b, kept=kept)
    assert leaders(board_, "t", "cosine", "mAP") == {"a", "b"}
    assert {place.rank for place in places(board_, "t", "cosine", "mAP").values()} == {1}


def test_equally_many_but_other_seeds_are_not_paired() -> None:
    """Paired by place they differ by .1 in every seed; as two samples they overlap: welch, sd .1, n 3."""
    found = board(*rows_of("a", [0.4, 0.5, 0.6]), *rows_of("b", [0.3, 0.4, 0.5], first=1))
    assert leaders(found, "t", "cosine", "mAP") == {"a", "b"}
    same = board(*rows_of("a", [0.4, 0.5, 0.6]), *rows_of("b", [0.3, 0.4, 0.5]))
    assert leaders(same, "t", "cosine", "mAP") == {"a"}


def test_a_row_without_one_seed_is_paired_over_the_others() -> None:
    """b is .02 better in each common seed, and lacks the best one of a: as samples they overlap by far."""
    a, b = [0.40, 0.50, 0.60, 0.80], [0.421, 0.52, 0.62]
    found = board(*rows_of("a", a), *rows_of("b", b))
    assert leaders(found, "t", "cosine", "mAP") == {"b"}
    assert places(found, "t", "cosine", "mAP") == {"b": FIRST, "a": SECOND}
    moved = board(*rows_of("a", a), *rows_of("b", [0.521, 0.62, 0.82], first=1))
    assert leaders(moved, "t", "cosine", "mAP") == {"b"}


def test_what_one_result_saw_limits_the_row() -> None:
    seen = f"{PROTOCOL}, test images in train"
    mixed = [*rows_of("m", [0.9, 0.9]), *rows_of("m", [0.9], protocol=seen, first=2)]
    found = board(*rows_of("a", [0.5, 0.52, 0.51]), *mixed)
    assert places(found, "t", "cosine", "mAP")["m"] == Place(1, 1, 0, 1, ("test images in train",))
    assert places(found, "t", "cosine", "mAP")["a"] == Place(1, 1, 0, 1)


def test_lower_is_better_and_undeclared_is_nothing() -> None:
    results = [*rows_of("a", [9.0, 9.1, 9.2], "rank"), *rows_of("b", [2.0, 2.1, 2.2], "rank")]
    lower = {"cosine": {"rank": Metric("rank", better="lower")}}
    assert leaders(board(*results, declared=lower), "t", "cosine", "rank") == {"b"}
    assert places(board(*results, declared=lower), "t", "cosine", "rank")["a"].rank == 2
    assert leaders(board(*results, declared={}), "t", "cosine", "rank") == set()
    assert leaders(board(*results), "t", "cosine", "rank") == set()


def test_rows_by_different_rules_are_apart_and_a_sentence_says_so() -> None:
    old = rows_of("old", [0.9, 0.91, 0.92], protocol="source labels, AP trapezoid")
    found = board(*rows_of("new", [0.5, 0.51, 0.52]), *old)
    assert leaders(found, "t", "cosine", "mAP") == {"new", "old"}
    assert places(found, "t", "cosine", "mAP")["old"] == Place(1, 1, 0, 1, ("AP trapezoid",))
    text = report.write(found, "md", against=["new"])
    assert "Rows on t by cosine follow different rules" in text
    assert "AP step (new); AP trapezoid (old)" in text
    assert "+40.0 [+40.0, +40.0] 3/3 (AP step, AP trapezoid)" in text
    assert "the difference is not due to the method alone" in text
    assert "different rules" in report.write(found, "latex")
    assert "different rules" not in report.write(board(*rows_of("new", [0.5, 0.51])), "md")


def test_evaluators_of_different_rules_are_named() -> None:
    results = [
        Result(Row("m", "t", name, seed, None, f"{name} {seed}", protocol=f"no labels, {rule}"), "ok", {"mAP": 0.5})
        for name, rule in (("cosine", "AP step"), ("matlab", "AP trapezoid"))
        for seed in range(3)
    ]
    assert "cosine: AP step; matlab: AP trapezoid" in report.write(board(*results), "md")
    alike = [r for r in results if r.row.evaluator == "cosine"]
    assert "Evaluators follow" not in report.write(board(*alike), "md")


# ---------------------------------------------------------------------- rows that use no seed
def unseeded(method: str, value: float, pretrain: int | None = None) -> list[Result]:
    row = Row(method, "t", "cosine", None, pretrain, f"{method} {pretrain}", protocol=PROTOCOL)
    return [Result(row, "ok", {"mAP": value})]


def ranked(*groups: tuple[list[Result], np.ndarray]) -> dict[str, Place]:
    """The places of rows with queries that are spread about their mAP."""
    kept = {key: arrays for results, spread in groups for key, arrays in queries_of(results, spread).items()}
    results = [result for group, _ in groups for result in group]
    return places(board(*results, kept=kept), "t", "cosine", "mAP")


NEAR, FAR = [0.60, 0.61, 0.59], [0.5, 0.6, 0.7]
FIRST, SECOND, TIED = Place(1, 1, 1, 2), Place(2, 1, 0, 2), Place(1, 2, 0, 2)


def test_several_seeds_against_none_need_seeds_and_queries() -> None:
    """Every seed and every query is .1 better: t(2, .975) x .01 / sqrt(3) = .025 for the seeds, nothing for queries."""
    fixed = unseeded("fixed", 0.5)
    assert ranked((rows_of("a", [0.60, 0.61, 0.59]), HARD), (fixed, HARD)) == {"a": FIRST, "fixed": SECOND}
    assert ranked((rows_of("a", [0.40, 0.41, 0.39]), HARD), (fixed, HARD)) == {"fixed": FIRST, "a": SECOND}
    # In all queries .1 better, but over the seeds .1 +- .25.
    assert ranked((rows_of("a", [0.5, 0.6, 0.7]), HARD), (fixed, HARD)) == {"a": TIED, "fixed": TIED}
    # Over the seeds .011 +- .0025, but over queries .011 +- .06, in both directions.
    assert ranked((rows_of("a", [0.510, 0.511, 0.512]), HARD + NOISE), (fixed, HARD)) == {"a": TIED, "fixed": TIED}
    assert ranked((rows_of("a", [0.490, 0.489, 0.488]), HARD + NOISE), (fixed, HARD)) == {"a": TIED, "fixed": TIED}


def test_two_without_a_seed_are_compared_by_their_queries() -> None:
    """.005 better in every query is beyond noise, .015 +- .06 is not."""
    assert ranked((unseeded("a", 0.505), HARD), (unseeded("b", 0.5), HARD)) == {"a": FIRST, "b": SECOND}
    assert ranked((unseeded("a", 0.515), HARD + NOISE), (unseeded("b", 0.5), HARD)) == {"a": TIED, "b": TIED}


def test_two_seeds_against_none_are_compared_by_queries() -> None:
    """Over two seeds it would be .1 +- .64."""
    assert ranked((rows_of("a", [0.55, 0.65]), HARD), (unseeded("b", 0.5), HARD)) == {"a": FIRST, "b": SECOND}


def test_a_row_that_depends_on_its_pretraining_alone_varies_with_it() -> None:
    """.1 better with each of three pre-trainings, or .1 +- .25."""
    close, far = ([one for p, v in enumerate(values) for one in unseeded("a", v, p)] for values in (NEAR, FAR))
    assert ranked((close, HARD), (unseeded("b", 0.5), HARD)) == {"a": FIRST, "b": SECOND}
    assert ranked((far, HARD), (unseeded("b", 0.5), HARD)) == {"a": TIED, "b": TIED}
    # With one pre-training nothing is known of others: the row is compared like one without a seed.
    assert ranked((unseeded("a", 0.6, 0), HARD), (unseeded("b", 0.5), HARD)) == {"a": FIRST, "b": SECOND}


def test_rows_without_a_seed_do_not_change_how_others_are_compared() -> None:
    seeds = [*rows_of("a", [0.60, 0.62, 0.64]), *rows_of("b", [0.50, 0.52, 0.54]), *rows_of("c", [0.5, 0.6])]
    kept = queries_of([*seeds, *unseeded("fixed", 0.1)], HARD)
    before = places(board(*seeds, kept=kept), "t", "cosine", "mAP")
    after = places(board(*seeds, *unseeded("fixed", 0.1), kept=kept), "t", "cosine", "mAP")
    assert after.pop("fixed") == Place(4, 1, 0, 4)
    assert {method: place.rank for method, place in after.items()} == {m: place.rank for m, place in before.items()}


def test_a_row_without_a_seed_and_without_queries_is_not_ranked() -> None:
    found = board(*rows_of("a", [0.60, 0.61, 0.59]), *unseeded("fixed", 0.9))
    assert places(found, "t", "cosine", "mAP") == {"a": Place(1, 1, 0, 1)}
    other = {"fixed None": {"ap": np.array([0.9, 0.9]), "valid": np.array([True, True])}}  # of other queries
    kept = queries_of(rows_of("a", [0.60, 0.61, 0.59]), HARD) | other
    assert ranked((rows_of("a", [0.60, 0.61, 0.59]), HARD), (unseeded("fixed", 0.9), HARD))["fixed"] == FIRST
    tied = board(*rows_of("a", [0.60, 0.61, 0.59]), *unseeded("fixed", 0.9), kept=kept)
    assert places(tied, "t", "cosine", "mAP") == {"a": TIED, "fixed": TIED}


def test_beside_rows_of_one_seed_the_best_without_a_seed_is_not_bold() -> None:
    """Else it would be the best of its column only because nobody else can be ranked."""
    results = [*rows_of("a", [0.9]), *unseeded("fixed", 0.1)]
    found = board(*results, kept=queries_of(results, HARD))
    assert places(found, "t", "cosine", "mAP") == {}
    text = report.write(found, "md")
    assert "**" not in text
    assert "Rows with one seed are neither ranked nor bold" in text
    assert "Rows marked (no seed) do not depend on the seed" in text
    alone = unseeded("fixed", 0.1)
    text = report.write(board(*alone, kept=queries_of(alone, HARD)), "md")
    assert "| **10.0** (no seed) |" in text
    assert "one seed does not separate" not in text


# ---------------------------------------------------------------------- results of each query
HITS = {"first_hit": np.array([1, 3, 0, 7, 2]), "valid": np.array([True, True, False, True, True])}


@pytest.mark.parametrize(
    ("name", "value", "arrays", "expected"),
    [
        ("cmc1", 1 / 4, HITS, [1, 0, np.nan, 0, 0]),
        ("cmc5", 3 / 4, HITS, [1, 1, np.nan, 0, 1]),
        ("cmc1", 1 / 5, HITS, [1, 0, 0, 0, 0]),
        ("cmc1", 1 / 2, HITS, None),  # counted in another way, as over drawn galleries
        ("mAP", 0.4, {"ap": np.array([0.5, np.nan, 0.3])}, [0.5, np.nan, 0.3]),
        ("mAP", 0.8 / 3, {"ap": np.array([0.5, np.nan, 0.3])}, [0.5, 0, 0.3]),  # invalid queries count 0
        ("mINP", 0.4, {"inp": np.array([0.5, 0.3])}, [0.5, 0.3]),
        ("gain", 2.0, {"gain": np.array([1, 3])}, [1, 3]),
        ("gain", 2.0, {"gain": np.array(["1", "3"])}, None),
        ("gain", 2.0, {"gain": np.array([[1, 3]])}, None),
        ("gain", 2.5, {"gain": np.array([1, 3])}, None),
        ("gain", 2.0, {}, None),
        ("score", 0.5, {**HITS, "ap": np.array([1, 1, np.nan, 0.5, 0.5])}, [1, 0.5, np.nan, 0.25, 0.25]),
    ],
)
def test_queries_count_only_where_they_give_the_metric(
    name: str, value: float, arrays: dict[str, np.ndarray], expected: list[float] | None
) -> None:
    found = per_query(rows_of("m", [value], name), name, lambda key: arrays)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert np.array_equal(found, expected, equal_nan=True)


def test_queries_are_averaged_over_seeds_and_other_queries_are_not_mixed() -> None:
    results = rows_of("m", [0.4, 0.6])
    kept = {"m 0": {"ap": np.array([0.3, 0.5])}, "m 1": {"ap": np.array([0.7, 0.5])}}
    found = per_query(results, "mAP", kept.__getitem__)
    assert found is not None
    assert found.tolist() == pytest.approx([0.5, 0.5])
    kept["m 1"] = {"ap": np.array([0.6, np.nan])}
    assert per_query(results, "mAP", kept.__getitem__) is None


def test_declared_rows_are_ranked_by_what_they_declare() -> None:
    """Like measured rows of the same words; one that declares nothing may have seen anything, and is with its like."""
    found = board(
        *rows_of("own", [0.3, 0.31, 0.3]),
        *rows_of("theirs", [0.5, 0.51, 0.5], protocol="declared: target images, AP step"),
        *rows_of("knowing", [0.9, 0.91, 0.9], protocol="declared: target images, declared: truth, AP step"),
        *rows_of("trained on it", [0.8, 0.81, 0.8], protocol="declared: test-images, AP step"),
        *rows_of("silent", [0.7, 0.71, 0.7], protocol="undeclared, AP step"),
    )
    assert places(found, "t", "cosine", "mAP") == {
        "own": Place(2, 1, 0, 2),
        "theirs": Place(1, 1, 1, 2),
        "knowing": Place(1, 1, 0, 1, ("truth",)),
        "trained on it": Place(1, 1, 0, 1, ("test-images",)),
        "silent": Place(1, 1, 0, 1, ("undeclared",)),
    }
    assert leaders(found, "t", "cosine", "mAP") == {"theirs", "knowing", "trained on it", "silent"}
