"""Ranking against worked numbers and against a brute-force walk over the sorted gallery."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics import MetricError, Ranking, Rules, products, rank, rank_blocks, rank_distances
from reidbench.metrics.ranking import counting

# ---------------------------------------------------------------- golden vectors


def walk(hits: list[int], **rules: Any) -> Ranking:
    """Rank one query whose true matches are at these positions."""
    pids = np.zeros(max(hits), np.int64)
    pids[np.array(hits) - 1] = 7
    distances = np.arange(len(pids), dtype=float)[None]
    return rank_distances(distances, [7], [1], pids, np.full(len(pids), 2), Rules(**rules))


@pytest.mark.parametrize("invalid", ["drop", "zero"])
@pytest.mark.parametrize("ties", ["stable", "best", "worst"])
@pytest.mark.parametrize("camera", ["market1501", "none"])
@pytest.mark.parametrize(
    ("hits", "step", "trapezoid", "inp"),
    [
        ([1, 2, 3], 1, 1, 1),
        ([2, 4], 0.5, 1 / 3, 0.5),
        ([1, 3], 5 / 6, 19 / 24, 2 / 3),
        ([1, 2, 4, 7], 0.830357, 0.811012, 0.571429),
        ([2], 0.5, 0.25, 0.5),
        ([1, 100], 0.51, 0.507525, 0.02),
        ([5], 0.2, 0.1, 0.2),
        ([10], 0.1, 0.05, 0.1),
    ],
)
def test_golden_hits(
    hits: list[int], step: float, trapezoid: float, inp: float, invalid: str, ties: str, camera: str
) -> None:
    rules = {"invalid": invalid, "ties": ties, "camera": camera}
    stepped, sloped = walk(hits, **rules), walk(hits, ap="trapezoid", **rules)
    assert stepped.mAP == pytest.approx(step, abs=1e-6)
    assert sloped.mAP == pytest.approx(trapezoid, abs=1e-6)
    assert stepped.mINP == sloped.mINP == pytest.approx(inp, abs=1e-6)
    assert stepped.first_hit.tolist() == [hits[0]]
    assert stepped.cmc.tolist() == [float(hits[0] <= k) for k in range(1, 51)]


@pytest.mark.parametrize(
    ("scores", "pids", "ties", "step", "trapezoid"),
    [
        ([1, 1], [7, 8], "best", 1, 1),
        ([1, 1], [7, 8], "stable", 1, 1),
        ([1, 1], [8, 7], "stable", 0.5, 0.25),
        ([1, 1], [7, 8], "worst", 0.5, 0.25),
        ([1, 0.5, 0.5, 0.2], [7, 8, 7, 8], "best", 1, 1),
        ([1, 0.5, 0.5, 0.2], [7, 7, 8, 8], "worst", 0.833333, 0.791667),
        ([1, 0.5, 0.5, 0.2], [7, 7, 8, 8], "stable", 1, 1),
    ],
)
def test_golden_ties(scores: list[float], pids: list[int], ties: str, step: float, trapezoid: float) -> None:
    for ap, expected in (("step", step), ("trapezoid", trapezoid)):
        rules = Rules(ties=ties, ap=ap)  # type: ignore[arg-type]
        found = rank_distances(-np.array([scores]), [7], [1], pids, [2] * len(pids), rules)
        assert found.mAP == pytest.approx(expected, abs=1e-6)


def test_golden_invalid_query() -> None:
    distances = np.array([[0.1, 0.2], [0.1, 0.2]])
    args = distances, [7, 9], [1, 1], [7, 8], [2, 2]
    dropped, zero = rank_distances(*args), rank_distances(*args, Rules(invalid="zero"))
    assert (dropped.mAP, dropped.cmc[0], dropped.mINP) == (1.0, 1.0, 1.0)
    assert (zero.mAP, zero.cmc[0], zero.mINP) == (0.5, 0.5, 0.5)
    for found in (dropped, zero):
        assert (found.num_queries, found.num_valid) == (2, 1)
        assert found.valid.tolist() == [True, False]
        assert np.isnan(found.ap[1])
        assert np.isnan(found.inp[1])
        assert found.first_hit.tolist() == [1, 0]
        assert found.invalid_queries.reasons == {"their pid is not in the gallery": 1}
        assert found.invalid_queries.first == ("query 1 (pid 9, camera 1): their pid is not in the gallery",)


def test_golden_short_row() -> None:
    found = rank_distances(np.array([[1.0, 2, 3, 4, 5]]), [7], [1], [-1, 8, -1, 9, 7], [2] * 5, max_rank=5)
    assert found.cmc.tolist() == [0, 0, 1, 1, 1]
    assert found.metrics() == {"mAP": 1 / 3, "mINP": 1 / 3, "cmc1": 0, "cmc5": 1, "cmc10": 1, "cmc20": 1}


def test_golden_filtering() -> None:
    args = np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]), [7], [1], [7, 7, -1, 0, 8], [1, 2, 2, 3, 1]
    found = rank_distances(*args)
    assert found.first_hit.tolist() == [1]
    assert found.filtered == {"junk": 1, "same_camera": 1}
    assert (found.mAP, found.mINP) == (1.0, 1.0)
    kept = rank_distances(*args, Rules(camera="none"))
    assert kept.filtered == {"junk": 1, "same_camera": 0}
    assert kept.first_hit.tolist() == [1]


# ---------------------------------------------------------------- brute force


def brute_force(distances: Any, q_pids: Any, q_camids: Any, g_pids: Any, g_camids: Any, rules: Rules) -> dict[str, Any]:
    """The definition, walked: sort what is kept, look at each place."""
    aps, inps, firsts, removed = [], [], [], 0
    for row, pid, camid in zip(distances, q_pids, q_camids, strict=True):
        kept = []
        for g, (g_pid, g_camid) in enumerate(zip(g_pids, g_camids, strict=True)):
            if g_pid == -1:
                continue
            if rules.camera == "market1501" and g_pid == pid and g_camid == camid:
                removed += 1
                continue
            hit = g_pid == pid
            tie = {"stable": g, "best": not hit, "worst": hit}[rules.ties]
            kept.append((row[g], tie, hit))
        places = [place for place, entry in enumerate(sorted(kept, key=lambda e: e[:2]), 1) if entry[2]]
        if not places:
            aps.append(np.nan), inps.append(np.nan), firsts.append(0)
            continue
        terms = []
        for r, p in enumerate(places, 1):
            before = 1.0 if p == 1 else (r - 1) / (p - 1)
            terms.append(r / p if rules.ap == "step" else (r / p + before) / 2)
        aps.append(sum(terms) / len(terms)), inps.append(len(places) / places[-1]), firsts.append(places[0])
    valid = [f > 0 for f in firsts]
    counted = sum(valid) if rules.invalid == "drop" else len(valid)

    def mean(values: Any) -> float:
        total = sum(v for v, ok in zip(values, valid, strict=True) if ok)
        return float(total / counted) if counted else 0.0

    return {
        "mAP": mean(aps),
        "mINP": mean(inps),
        "cmc": [mean([f <= k for f in firsts]) for k in range(1, 51)],
        "ap": aps,
        "first_hit": firsts,
        "valid": valid,
        "removed": removed,
        "junk": sum(p == -1 for p in g_pids),
    }


def agree(found: Ranking, expected: dict[str, Any]) -> None:
    assert found.mAP == pytest.approx(expected["mAP"], abs=1e-12)
    assert found.mINP == pytest.approx(expected["mINP"], abs=1e-12)
    np.testing.assert_allclose(found.cmc, expected["cmc"], atol=1e-12)
    np.testing.assert_allclose(found.ap, expected["ap"], atol=1e-12)
    assert found.first_hit.tolist() == expected["first_hit"]
    assert found.valid.tolist() == expected["valid"]
    assert found.filtered == {"junk": expected["junk"], "same_camera": expected["removed"]}


ALL_RULES = [
    Rules(ap=ap, invalid=invalid, ties=ties, camera=camera)
    for ap, invalid, ties, camera in itertools.product(
        ("step", "trapezoid"), ("drop", "zero"), ("stable", "best", "worst"), ("market1501", "none")
    )
]


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Any, ...]:
    """Few identities and cameras, so that junk, distractors, missing matches and one-camera data all turn up."""
    queries, gallery = draw(st.integers(1, 6)), draw(st.integers(1, 14))
    cameras = draw(st.integers(1, 3))
    q_pids = draw(st.lists(st.integers(-1, 4), min_size=queries, max_size=queries))
    g_pids = draw(st.lists(st.integers(-1, 4), min_size=gallery, max_size=gallery))
    camids = st.integers(0, cameras - 1)
    q_camids = draw(st.lists(camids, min_size=queries, max_size=queries))
    g_camids = draw(st.lists(camids, min_size=gallery, max_size=gallery))
    return q_pids, q_camids, g_pids, g_camids


def check(found: Any, expected: dict[str, Any]) -> None:
    """Agree on the numbers, or on there being none."""
    if any(expected["valid"]):
        agree(found(), expected)
    else:
        with pytest.raises(MetricError, match="no query has a true match"):
            found()


@settings(deadline=None, max_examples=200)
@given(labels=labelled(), rules=st.sampled_from(ALL_RULES), levels=st.integers(1, 30), data=st.data())
def test_given_distances_match_brute_force(labels: tuple[Any, ...], rules: Rules, levels: int, data: Any) -> None:
    shape = len(labels[0]), len(labels[2])
    seed = data.draw(st.integers(0, 2**32 - 1))
    dtype = data.draw(st.sampled_from(["float64", "float32", "float16", "int64", "uint8"]))
    distances = np.random.default_rng(seed).integers(levels, size=shape).astype(dtype)
    untouched = distances.copy()
    check(lambda: rank_distances(distances, *labels, rules), brute_force(distances, *labels, rules))
    np.testing.assert_array_equal(distances, untouched)


@settings(deadline=None, max_examples=200)
@given(labels=labelled(), rules=st.sampled_from(ALL_RULES), levels=st.integers(1, 4), data=st.data())
def test_euclidean_features_match_brute_force(labels: tuple[Any, ...], rules: Rules, levels: int, data: Any) -> None:
    """Small whole numbers: every distance is exact and many are equal."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = data.draw(st.sampled_from(["float64", "float32", "float16", "int8"]))
    dim = data.draw(st.integers(1, 5))
    query = rng.integers(levels, size=(len(labels[0]), dim)).astype(dtype)
    gallery = rng.integers(levels, size=(len(labels[2]), dim)).astype(dtype)
    distances = ((query[:, None].astype(int) - gallery[None].astype(int)) ** 2).sum(2)
    rules = dataclasses.replace(rules, distance="euclidean")
    q_pids, q_camids, g_pids, g_camids = labels
    check(
        lambda: rank(query, q_pids, q_camids, gallery, g_pids, g_camids, rules),
        brute_force(distances, *labels, rules),
    )


@settings(deadline=None, max_examples=200)
@given(labels=labelled(), rules=st.sampled_from(ALL_RULES), heap=st.booleans(), data=st.data())
def test_cosine_features_match_brute_force(labels: tuple[Any, ...], rules: Rules, heap: bool, data: Any) -> None:
    """Gallery rows are copies of a few vectors, at several lengths: ties in every row despite float32 rounding."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    kinds = rng.normal(size=(data.draw(st.integers(1, 5)), 8))
    if heap:
        kinds = 1.0 + 1e-9 * kinds  # all equal in float32
    which = rng.integers(len(kinds), size=len(labels[2]))
    gallery = kinds[which] * rng.choice([0.5, 1.0, 3.0, 7.0], size=(len(which), 1))
    query = rng.normal(size=(len(labels[0]), 8))
    unit = kinds / np.linalg.norm(kinds, axis=1, keepdims=True)
    order = np.argsort(np.argsort(-(query @ unit.T), axis=1), axis=1)[:, which]
    q_pids, q_camids, g_pids, g_camids = labels
    if heap and (np.diff(np.sort(query @ unit.T, axis=1)) < 1e-12).any():
        return  # too close even for float64
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "MANY_NEAR_TIES", data.draw(st.sampled_from([0, 2, 1000])))
        check(
            lambda: rank(query, q_pids, q_camids, gallery, g_pids, g_camids, rules),
            brute_force(order, *labels, rules),
        )


# ---------------------------------------------------------------- larger data, other ways


def scene(queries: int = 80, gallery: int = 900, dim: int = 24, people: int = 40, seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people + 2, dim))
    q_pids, g_pids = rng.integers(1, people, queries), rng.integers(-1, people, gallery)
    query = centres[q_pids] + rng.normal(size=(queries, dim))
    features = centres[g_pids] + rng.normal(size=(gallery, dim))
    return query, q_pids, rng.integers(3, size=queries), features, g_pids, rng.integers(3, size=gallery)


def reference(args: tuple[Any, ...], rules: Rules) -> dict[str, Any]:
    query, gallery = np.asarray(args[0], float), np.asarray(args[3], float)
    if rules.distance == "cosine":
        query = query / np.linalg.norm(query, axis=1, keepdims=True)
        gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    distances = ((query[:, None] - gallery[None]) ** 2).sum(2)
    return brute_force(distances, args[1], args[2], args[4], args[5], rules)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_features_of_every_type_and_layout(distance: str, dtype: str, order: str) -> None:
    args = list(scene())
    for side in (0, 3):
        args[side] = args[side].astype(dtype)
        args[side] = np.repeat(args[side], 2, 1)[:, ::2] if order == "strided" else np.array(args[side], order=order)
    rules = Rules(distance=distance)  # type: ignore[arg-type]
    agree(rank(*args, rules), reference(tuple(args), rules))


@pytest.mark.parametrize("rows", [1, 7, 128])
def test_results_do_not_depend_on_the_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS changes the last bits with the shape of a product; the ranks must not notice."""
    args = tuple(np.float32(a) if a.ndim == 2 else a for a in scene(gallery=3_000, people=200))
    whole = rank(*args)
    monkeypatch.setattr(products, "LEAST_BLOCK_ROWS", rows)
    monkeypatch.setattr(products, "BLOCK_ROWS", rows)
    blocked = rank(*args)
    np.testing.assert_array_equal(whole.ap, blocked.ap)
    np.testing.assert_array_equal(whole.first_hit, blocked.first_hit)


def test_an_unlucky_float32_product_cannot_swap_neighbours() -> None:
    """The second gallery row is nearer by 1e-9 only, which no float32 cosine can see."""
    query = np.array([[1.0, 0.0]])
    gallery = np.array([[np.cos(0.5), np.sin(0.5)], [np.cos(0.5 - 2e-9), np.sin(0.5 - 2e-9)]])
    for pids, place in (([7, 8], 2), ([8, 7], 1)):
        assert rank(query, [7], [1], gallery, pids, [2, 2]).first_hit.tolist() == [place]


def test_a_collapsed_model_is_all_ties() -> None:
    query, gallery = np.ones((3, 16), np.float32), np.ones((5_000, 16), np.float32)
    pids = np.zeros(5_000, np.int64)
    pids[99] = 7
    places = {}
    for ties in ("stable", "best", "worst"):
        rules = Rules(ties=ties)  # type: ignore[arg-type]
        places[ties] = rank(query, [7] * 3, [1] * 3, gallery, pids, [2] * 5_000, rules).first_hit.tolist()
    assert places == {"stable": [100] * 3, "best": [1] * 3, "worst": [5_000] * 3}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_zero_vectors_have_no_cosine_distance(dtype: str) -> None:
    gallery = np.array([[1, 0], [0, 0], [-1, 0], [0, 0]], dtype)
    query = np.array([[1, 0]], dtype)
    args = [7], [1], gallery, [8, 7, 8, 9], [2] * 4
    wrong = r"gallery_features row 1 is a zero vector.*\(zero vectors: 2 of 4 rows\); check .* distance=euclidean"
    with pytest.raises(MetricError, match=wrong):
        rank(query, *args)
    with pytest.raises(MetricError, match=r"query_features row 0 is a zero vector.*1 of 1 rows"):
        rank(0 * query, *args)
    assert rank(query, *args, Rules(distance="euclidean")).first_hit.tolist() == [2]


def test_zero_vectors_of_junk_do_not_matter_and_tiny_ones_are_not_zero() -> None:
    gallery = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert rank(np.array([[1.0, 0.0]]), [7], [1], gallery, [7, -1], [2, 2]).mAP == 1
    with pytest.raises(MetricError, match="gallery_features row 1 has length 1e-200, out of range"):
        rank(np.array([[1.0, 0.0]]), [7], [1], np.array([[1.0, 0.0], [1e-200, 0.0]]), [7, 8], [2, 2])


def test_blocks_may_share_a_buffer_and_have_any_length() -> None:
    rng = np.random.default_rng(5)
    distances = rng.random((20, 60)).astype(np.float32)
    labels = rng.integers(5, size=20), rng.integers(3, size=20), rng.integers(5, size=60), rng.integers(3, size=60)
    buffer = np.empty((7, 60), np.float32)

    def blocks() -> Any:
        for start in (0, 7, 14):
            part = buffer[: min(7, 20 - start)]
            part[:] = distances[start : start + 7]
            yield part

    np.testing.assert_array_equal(rank_blocks(blocks(), *labels).ap, rank_distances(distances, *labels).ap)
    with pytest.raises(MetricError, match="blocks contain distances of 7 queries but there are 20"):
        rank_blocks([distances[:7].copy()], *labels)
