"""Re-ranking against the dense definition of each variant, written with sets and loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics import MetricError, Reranking, rank_blocks, rank_distances, rerank, rerank_blocks, reranking
from reidbench.metrics.neighbours import minima, symmetric
from reidbench.stages.outputs import joined_features

LABELS = ("pids", "camids")
VARIANTS = ("zhong", "torchreid", "fastreid")


def dense(query: Any, gallery: Any, variant: str, k1: int, k2: int, share: float, distance: str = "cosine") -> Any:
    """The definition on features."""
    squared = dense_squared(query, gallery, unit=variant == "zhong" or distance == "cosine")
    return dense_of(squared, len(query), variant, k1, k2, share, distance)


def dense_squared(query: Any, gallery: Any, *, unit: bool) -> Any:
    """[N, N] squared distances of queries and gallery together, in float64."""
    x = np.concatenate([query, gallery]).astype(float)
    if unit:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([((row - x) ** 2).sum(1) for row in x])


def dense_of(squared: Any, queries: int, variant: str, k1: int, k2: int, share: float, distance: str) -> Any:
    """The definition: N x N matrices in float64, sets as Python sets."""
    n = len(squared)
    order = np.argsort(squared, axis=1, kind="stable")
    listed = k1 if variant == "fastreid" else k1 + 1
    half = int(np.floor((k1 + 1) / 2 + 0.5)) if variant == "zhong" else int(np.around(k1 / 2)) + 1
    power = {"zhong": 1, "torchreid": 2, "fastreid": 1}[variant]
    base = squared**power
    if variant != "fastreid":
        base = base / base.max(1, keepdims=True)

    def reciprocal(i: int, k: int) -> set[int]:
        return {int(j) for j in order[i, :k] if i in order[j, :k]}

    v = np.zeros((n, n))
    for i in range(n):
        near = reciprocal(i, listed)
        expanded = set(near)
        for j in near:
            candidates = reciprocal(j, half)
            if len(candidates & near) > 2 / 3 * len(candidates):
                expanded |= candidates
        at = sorted(expanded)
        v[i, at] = np.exp(-base[i, at]) / np.exp(-base[i, at]).sum()
    if k2 != 1:
        v = np.stack([v[order[i, :k2]].mean(0) for i in range(n)])
    shared = np.stack([np.minimum(v[i], v).sum(1) for i in range(queries)])
    jaccard = 1 - shared / (2 - shared)
    original = base if variant != "fastreid" else squared / 2 if distance == "cosine" else squared
    return ((1 - share) * jaccard + share * original[:queries])[:, queries:]


def blobs(queries: int = 20, gallery: int = 130, dim: int = 12, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, dim))
    x = centres[rng.integers(12, size=queries + gallery)] + 0.7 * rng.normal(size=(queries + gallery, dim))
    return x[:queries], x[queries:]


def test_an_ensemble_is_re_ranked_by_its_summed_distances(tmp_path: Path) -> None:
    """Three members of other lengths and scales: the joined features give what the sum of their matrices gives."""
    files, total = [], 0.0
    for seed, (dim, scale) in enumerate([(12, 1.0), (5, 30.0), (20, 0.01)]):
        query, gallery = blobs(15, 60, dim, seed)
        total = total + dense_squared(query, gallery, unit=True)
        columns = {f"{side}_{name}": np.zeros(n) for side, n in (("query", 15), ("gallery", 60)) for name in LABELS}
        files.append(tmp_path / f"{seed}.npz")
        np.savez(files[-1], query_features=query * scale, gallery_features=gallery * scale, **columns)
    joined = joined_features(files)
    found = rerank(joined[0].features, joined[1].features, Reranking("zhong", 10, 4, 0.3))
    np.testing.assert_allclose(found, dense_of(total, 15, "zhong", 10, 4, 0.3, "cosine"), atol=2e-6)


def test_three_vectors_by_hand() -> None:
    """Query q at angle 0, a at 0.1 and b at 1.5; squared distances qa 0.00999, qb 1.85853, ab 1.66007.

    Lists of two: q a, a q, b a. So R(q) = R(a) = {q, a} and R(b) = {b}. Row maxima 1.85853, 1.66007, 1.85853 give the
    weights V(q) = .501344 .498656 0, V(a) = .498496 .501504 0, V(b) = 0 0 1. Minima sum to .997152 and 0, so that the
    Jaccard distances are .005680 and 1; the final ones .7 * .005680 + .3 * .005375 and .7 + .3.
    """
    angles = np.array([0.0, 0.1, 1.5])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = rerank(x[:1], x[1:], Reranking("zhong", k1=1, k2=1))
    np.testing.assert_allclose(found, [[0.005589, 1.0]], atol=2e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k1", "k2", "share"), [(20, 6, 0.3), (23, 1, 0.5), (7, 3, 0.0), (30, 6, 1.0)])
def test_equal_to_the_dense_definition(
    variant: Any, distance: str, k1: int, k2: int, share: float, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiled:
        pytest.importorskip("numba")
    monkeypatch.setattr(minima, "find_spec", lambda name: object() if compiled else None)
    query, gallery = blobs()
    found = rerank(query, gallery, Reranking(variant, k1, k2, share), distance)
    expected = dense(query, gallery, variant, k1, k2, share, distance)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_thousand_samples(variant: Any) -> None:
    query, gallery = blobs(400, 1_600, 64)
    found = rerank(query, gallery, Reranking(variant))
    np.testing.assert_allclose(found, dense(query, gallery, variant, 20, 6, 0.3), atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    variant=st.sampled_from(VARIANTS),
    distance=st.sampled_from(["cosine", "euclidean"]),
    queries=st.integers(1, 8),
    gallery=st.integers(1, 40),
    k1=st.integers(1, 25),
    k2=st.integers(1, 8),
    block=st.integers(5, 60),
    kept=st.sampled_from([0, 1 << 20]),
    seed=st.integers(0, 10_000),
)
def test_any_size_and_any_blocks(
    variant: Any, distance: str, queries: int, gallery: int, k1: int, k2: int, block: int, kept: int, seed: int
) -> None:
    query, other = blobs(queries, gallery, 6, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symmetric, "BLOCK", block)
        patch.setattr(minima, "EXPANDED", 50 * block)
        patch.setattr(reranking, "KEPT_BYTES", kept)
        found = rerank(query, other, Reranking(variant, k1, k2), distance)
    expected = dense(query, other, variant, k1, k2, 0.3, distance)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_copies_and_float16(variant: Any) -> None:
    """Frames equal to the last bit: lists are filled by index."""
    query, gallery = blobs()
    query, gallery = query.astype(np.float16), np.concatenate([gallery, gallery[:40], gallery[:40]]).astype(np.float16)
    found = rerank(query, gallery, Reranking(variant))
    np.testing.assert_allclose(found, dense(query, gallery, variant, 20, 6, 0.3), atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_features_that_are_all_the_same(variant: Any) -> None:
    assert np.isfinite(rerank(np.ones((3, 4)), np.ones((60, 4)), Reranking(variant))).all()


def test_features_far_from_the_origin() -> None:
    """Squared distances that products of float32 would give without a correct digit."""
    query, gallery = (x + 300.0 for x in blobs())
    found = rerank(query, gallery, Reranking("torchreid"), "euclidean")
    np.testing.assert_allclose(found, dense(query, gallery, "torchreid", 20, 6, 0.3, "euclidean"), atol=1e-5)


def test_ranking_takes_the_blocks() -> None:
    query, gallery = blobs()
    rng = np.random.default_rng(0)
    labels = rng.integers(9, size=20), rng.integers(3, size=20), rng.integers(9, size=130), rng.integers(3, size=130)
    blocks = rank_blocks(rerank_blocks(query, gallery), *labels)
    whole = rank_distances(rerank(query, gallery), *labels)
    np.testing.assert_array_equal(blocks.ap, whole.ap)


def test_names_and_errors() -> None:
    assert str(Reranking("fastreid")) == "variant=fastreid k1=20 k2=6 lambda=0.3"
    assert [Reranking("zhong", k1=k).half for k in (20, 21, 22, 23)] == [11, 11, 12, 12]
    assert [Reranking("torchreid", k1=k).half for k in (20, 21, 22, 23)] == [11, 11, 12, 13]
    for message, kwargs in (
        ("re-ranking 'gcn' is unknown; choose one of zhong, torchreid, fastreid", {"variant": "gcn"}),
        ("k1=0", {"k1": 0}),
        ("k2=0", {"k2": 0}),
        ("lambda between 0 and 1, not 1.5", {"lambda_": 1.5}),
    ):
        with pytest.raises(MetricError, match=message):
            Reranking(**kwargs)  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="query_features 3 but gallery_features 4"):
        rerank(np.ones((2, 3)), np.ones((2, 4)))


@pytest.mark.parametrize("variant", ["zhong", "torchreid", "fastreid"])
def test_zero_vectors_have_no_cosine_distance(variant: Any) -> None:
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(3, 4)), rng.normal(size=(9, 4))
    gallery[4] = 0
    how = Reranking(variant, 3, 2)
    with pytest.raises(MetricError, match=r"gallery_features row 4 is a zero vector.*1 of 9 rows") as caught:
        rerank(query, gallery, how)
    assert ("distance=euclidean" in str(caught.value)) == (variant != "zhong")  # zhong has no other distance
    with pytest.raises(MetricError, match="query_features row 0 is a zero vector"):
        rerank(0 * query, gallery, how)
    if variant != "zhong":
        assert np.isfinite(rerank(query, gallery, how, "euclidean")).all()
