"""Equal distances: counted pair by pair, bounded by moving the true matches a little nearer or farther."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics import MetricError, Ranking, Rules, ScoreReport, rank, rank_blocks, rank_distances
from reidbench.metrics.ranking import counting

NAMES = "mAP", "mINP", "cmc1"


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Any, ...]:
    """Query 0 and gallery row 0 match, so that there is something to rank; junk and other cameras turn up."""
    queries, gallery = draw(st.integers(1, 6)), draw(st.integers(1, 14))
    q_pids = [1, *draw(st.lists(st.integers(0, 3), min_size=queries - 1, max_size=queries - 1))]
    g_pids = [1, *draw(st.lists(st.integers(-1, 3), min_size=gallery - 1, max_size=gallery - 1))]
    q_camids = draw(st.lists(st.integers(0, 1), min_size=queries, max_size=queries))
    g_camids = draw(st.lists(st.integers(0, 1), min_size=gallery, max_size=gallery))
    g_camids[0] = 1 - q_camids[0]
    return tuple(np.array(x) for x in (q_pids, q_camids, g_pids, g_camids))


def matching(labels: tuple[Any, ...]) -> Any:
    return labels[0][:, None] == labels[2]


def tied_pairs(distances: Any, labels: tuple[Any, ...], camera: str) -> list[int]:
    """For each query: pairs of a true match and a kept gallery row of another person, at equal distances."""
    found = []
    for row, pid, camid in zip(distances, *labels[:2], strict=True):
        own = [x for x, p, c in zip(row, *labels[2:], strict=True) if p == pid and (camera == "none" or c != camid)]
        others = [x for x, p in zip(row, labels[2], strict=True) if p not in (pid, -1)]
        found.append(sum(a == b for a in own for b in others))
    return found


def numbers(found: Ranking) -> dict[str, float]:
    return {name: found.metrics()[name] for name in NAMES}


def check(found: Ranking, distances: Any, labels: tuple[Any, ...]) -> None:
    """Against whole-numbered distances of the same order."""
    pairs = tied_pairs(distances, labels, found.rules.camera)
    assert (found.ties.pairs, found.ties.queries) == (sum(pairs), sum(n > 0 for n in pairs))
    if not found.ties.pairs:
        assert (found.ties.best, found.ties.worst, found.ties.as_dict()) == (None, None, {"pairs": 0})
        return
    assert found.ties.best is not None
    assert found.ties.worst is not None
    rules = dataclasses.replace(found.rules, ties="stable")
    nearer = rank_distances(distances - 0.25 * matching(labels), *labels, rules)
    farther = rank_distances(distances + 0.25 * matching(labels), *labels, rules)
    assert found.ties.best == pytest.approx(numbers(nearer), abs=1e-12)
    assert found.ties.worst == pytest.approx(numbers(farther), abs=1e-12)
    for name, value in numbers(found).items():
        assert found.ties.worst[name] - 1e-12 <= value <= found.ties.best[name] + 1e-12


ALL_RULES = st.builds(
    Rules,
    ap=st.sampled_from(("step", "trapezoid")),
    invalid=st.sampled_from(("drop", "zero")),
    ties=st.sampled_from(("stable", "best", "worst")),
    camera=st.sampled_from(("market1501", "none")),
    gallery=st.sampled_from(("all", "all", "single-shot")),
    repeats=st.integers(1, 4),
)
SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=200)
@given(labels=labelled(), rules=ALL_RULES, levels=st.integers(1, 6), seed=SEEDS)
def test_ties_of_given_distances(labels: tuple[Any, ...], rules: Rules, levels: int, seed: int) -> None:
    distances = np.random.default_rng(seed).integers(levels, size=(len(labels[0]), len(labels[2])))
    found = rank_distances(distances, *labels, rules)
    check(found, distances, labels)
    blocks = [row[None].astype(np.float32) for row in distances]
    assert rank_blocks(blocks, *labels, rules).ties == found.ties


@settings(deadline=None, max_examples=150)
@given(labels=labelled(), rules=ALL_RULES, levels=st.integers(2, 4), crowd=st.sampled_from([0, 2, 1000]), seed=SEEDS)
def test_ties_of_features(labels: tuple[Any, ...], rules: Rules, levels: int, crowd: int, seed: int) -> None:
    """Small whole numbers have exact Euclidean distances; float32 products, near-ties and heaps must not matter."""
    rng = np.random.default_rng(seed)
    query, gallery = (rng.integers(levels, size=(len(pids), 3)).astype(np.float32) for pids in (labels[0], labels[2]))
    distances = ((query[:, None] - gallery[None]) ** 2).sum(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "MANY_NEAR_TIES", crowd)
        rules = dataclasses.replace(rules, distance="euclidean")
        found = rank(query, *labels[:2], gallery, *labels[2:], rules)
    check(found, distances.astype(int), labels)


@pytest.mark.parametrize("gallery_rule", ["all", "single-shot"])
def test_copies_of_one_direction_are_ties_under_cosine(gallery_rule: Any) -> None:
    """Lengths differ, so that float32 cosines differ in the last bits: still one direction, so one distance."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=16)
    gallery = direction * rng.uniform(0.1, 9, size=(60, 1))
    query, pids = rng.normal(size=(1, 16)), np.arange(60)
    rules = Rules(gallery=gallery_rule)
    found = rank(query, [59], [1], gallery, pids, [2] * 60, rules)
    assert (found.ties.pairs, found.ties.queries, found.ties.undecided) == (59, 1, 1)
    assert found.mAP == pytest.approx(1 / 60)
    assert found.ties.best == {"mAP": 1, "mINP": 1, "cmc1": 1}
    assert found.ties.worst == pytest.approx({"mAP": 1 / 60, "mINP": 1 / 60, "cmc1": 0})


def test_a_nearer_row_by_less_than_float32_sees_is_drawn_as_nearer() -> None:
    """Single shot with one image of each person: float64 decides, as over the whole gallery."""
    query = np.array([[1.0, 0.0]])
    gallery = np.array([[np.cos(0.5), np.sin(0.5)], [np.cos(0.5 - 2e-9), np.sin(0.5 - 2e-9)]])
    for ties in ("stable", "best", "worst"):
        rules = Rules(gallery="single-shot", ties=ties)  # type: ignore[arg-type]
        assert rank(query, [7], [1], gallery, [7, 8], [2, 2], rules).cmc_at[1] == 0
        assert rank(query, [7], [1], gallery, [8, 7], [2, 2], rules).cmc_at[1] == 1


def test_ties_by_hand() -> None:
    """Query 0: two matches at 1 with one stranger, another at 2: 2 pairs. Query 1: no tie that matters."""
    distances = np.array([[1.0, 1.0, 1.0, 2.0], [3.0, 3.0, 2.0, 1.0]])
    found = rank_distances(distances, [7, 9], [1, 1], [8, 7, 7, 9], [2] * 4)
    assert (found.ties.pairs, found.ties.queries, found.ties.undecided) == (2, 1, 0)
    assert found.ties.best == {"mAP": 1, "mINP": 1, "cmc1": 1}
    assert found.ties.worst == pytest.approx({"mAP": (7 / 12 + 1) / 2, "mINP": (2 / 3 + 1) / 2, "cmc1": 0.5})
    assert found.mAP == pytest.approx(found.ties.worst["mAP"])  # the stranger comes first in the file
    assert str(found.ties) == (
        "2 pairs of a true match and another image at equal distance, in 1 query; "
        "mAP 79.17 to 100.00 %, rank-1 50.00 to 100.00 %, mINP 83.33 to 100.00 %, as they fall"
    )


@pytest.mark.parametrize(("others", "visible"), [(45, True), (46, False)])
def test_bounds_are_visible_from_five_hundredths_of_a_point(others: int, visible: bool) -> None:
    """The second match is at place n - 1 or n, and AP differs by half of 2 / (n - 1) - 2 / n: 1 / 1980 or 1 / 2070."""
    distances = np.arange(others, dtype=float)
    pids = np.zeros(others, int)
    pids[[0, -1]] = 7
    distances[-1] = distances[-2]
    found = rank_distances(distances[None], [7], [1], pids, [2] * others)
    assert found.ties.pairs == 1
    assert found.ties.visible == visible


def test_nothing_was_ranked() -> None:
    labels = [7, 8], [1, 1], [7, 8, 9, -1], [2, 2, 2, 2]
    with pytest.raises(MetricError, match=r"nothing was ranked: for each of the 2 valid queries all .* are equal"):
        rank(np.ones((2, 4)), *labels[:2], np.ones((4, 4)), *labels[2:]).decided()
    one = rank_distances(np.array([[1, 1, 1, 0], [1, 1, 2, 2]]), *labels)
    assert one.ties.undecided == 1
    assert one.decided() is one
    none = rank_distances(np.array([[1, 2, 3, 0], [1, 3, 2, 2]]), *labels)
    assert none.decided().ties.undecided == 0


@pytest.mark.parametrize(("step", "flat"), [(2.0**-23, True), (2.0**-4, False)])
def test_directions_that_differ_by_rounding_alone_are_doubted(step: float, flat: bool) -> None:
    """Ones of float32, some larger by the last bit: float64 finds an order, but it does not rank persons."""
    rng = np.random.default_rng(0)
    query, gallery = ((1 + step * rng.integers(2, size=(n, 8))).astype(np.float32) for n in (3, 40))
    labels = [7, 8, 9], [1] * 3, np.arange(40), [2] * 40
    found = rank(query, *labels[:2], gallery, *labels[2:])
    assert found.ties.undecided == 0
    assert found.flat == (3 if flat else 0)
    said = ["for each of the 3 valid queries the cosines of all gallery rows agree to the precision of float32"]
    assert [doubt.split(";")[0] for doubt in found.doubts()] == (said if flat else [])


def test_euclidean_distances_far_from_the_origin_are_not_doubted() -> None:
    """All vectors share an offset that swamps float32 products; their distances are as clear as before."""
    rng = np.random.default_rng(0)
    query, gallery = (1e5 + rng.integers(9, size=(n, 8)) for n in (3, 40))
    args = query, [7, 8, 9], [1] * 3, gallery, np.arange(40), [2] * 40
    found = rank(*args, Rules(distance="euclidean"))
    assert (found.flat, found.doubts()) == (0, [])


def test_a_gallery_of_one_person_is_named() -> None:
    found = rank_distances(np.ones((2, 3)), [7, 7], [1, 1], [7, 7, -1], [2, 2, 2])
    assert (found.mAP, found.unopposed, found.ties.pairs) == (1.0, 2, 0)
    assert found.decided() is found
    text = ScoreReport("a", found, np.array([7, 7]), np.array([1, 1])).as_text()
    assert (
        "warning: without another identity in their gallery: 2 of 2 valid queries, which score 100 % with any" in text
    )


def test_the_report_shows_ties() -> None:
    labels = np.array([7, 9]), np.array([1, 1])
    tied = rank_distances(np.array([[1.0, 1.0, 2.0], [1.0, 2.0, 3.0]]), *labels, [8, 7, 9], [2] * 3)
    report = ScoreReport("a", tied, *labels)
    assert "\n  ties: 1 pair of a true match and another image at equal distance, in 1 query; mAP " in report.as_text()
    assert report.as_dict()["ties"] == {
        "pairs": 1,
        "queries": 1,
        "undecided": 0,
        "best": pytest.approx({"mAP": (1 + 1 / 3) / 2, "mINP": (1 + 1 / 3) / 2, "cmc1": 0.5}),
        "worst": pytest.approx({"mAP": (1 / 2 + 1 / 3) / 2, "mINP": (1 / 2 + 1 / 3) / 2, "cmc1": 0}),
    }
    clear = ScoreReport("a", rank_distances(np.array([[1, 2, 3], [1, 2, 3]]), *labels, [8, 7, 9], [2] * 3), *labels)
    assert "ties:" not in clear.as_text()
    assert clear.as_dict()["ties"] == {"pairs": 0}
