"""The Jaccard graph and its clusters against the dense matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from reidbench.metrics import MetricError, cluster, dbscan, jaccard_graph
from reidbench.metrics.neighbours import minima, symmetric


def dense_jaccard(features: Any, k1: int, k2: int) -> Any:
    """The definition: N x N matrices in float64, sets as Python sets."""
    x = np.asarray(features, float)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    n = len(x)
    squared = np.stack([((row - x) ** 2).sum(1) for row in x])
    order = np.argsort(squared, axis=1, kind="stable")
    members = [[{int(j) for j in order[i, :k]} for i in range(n)] for k in (k1, int(np.around(k1 / 2)) + 1)]
    full, half = ([{j for j in lists[i] if i in lists[j]} for i in range(n)] for lists in members)
    v = np.zeros((n, n))
    for i in range(n):
        expanded = set(full[i])
        for j in full[i]:
            if len(half[j] & full[i]) > 2 / 3 * len(half[j]):
                expanded |= half[j]
        at = sorted(expanded)
        v[i, at] = np.exp(-squared[i, at]) / np.exp(-squared[i, at]).sum()
    if k2 != 1:
        v = np.stack([v[order[i, :k2]].mean(0) for i in range(n)])
    shared = np.stack([np.minimum(v[i], v).sum(1) for i in range(n)])
    return np.maximum(1 - shared / (2 - shared), 0)


def blobs(n: int, people: int, noise: float, dim: int = 16, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, dim))
    return centres[rng.integers(people, size=n)] + noise * rng.normal(size=(n, dim))


@pytest.fixture(params=["scipy", "numba"])
def adder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to add up the minima; the second where numba is installed."""
    if request.param == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(minima, "find_spec", lambda name: None)
    return str(request.param)


@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (20, 1), (10, 3)])
@pytest.mark.parametrize("noise", [0.3, 0.7, 1.5])
@pytest.mark.usefixtures("adder")
def test_graph_and_labels(k1: int, k2: int, noise: float) -> None:
    features = blobs(260, 20, noise)
    dense = dense_jaccard(features, k1, k2)
    graph = jaccard_graph(features, k1, k2, radius=0.6)
    stored = np.zeros(dense.shape, bool)
    stored[graph.tocoo().coords] = True
    expected = (dense <= 0.6) | np.eye(len(dense), dtype=bool)
    np.testing.assert_array_equal(stored, expected)
    np.testing.assert_allclose(graph.toarray()[expected], np.where(np.eye(260), 0, dense)[expected], atol=1e-5)
    assert graph.nnz == expected.sum()
    assert (graph != graph.T).nnz == 0
    reference = DBSCAN(eps=0.6, min_samples=4, metric="precomputed").fit_predict(dense)
    np.testing.assert_array_equal(cluster(features, 0.6, 4, k1, k2), reference)
    np.testing.assert_array_equal(dbscan(graph), reference)
    if noise == 0.3:
        assert len(set(reference)) > 15


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 70),
    eps=st.sampled_from([0.3, 0.5, 0.7]),
    k1=st.integers(1, 20),
    k2=st.integers(1, 6),
    noise=st.floats(0.1, 1.0),
    seed=st.integers(0, 10_000),
)
def test_labels_of_any_size(n: int, eps: float, k1: int, k2: int, noise: float, seed: int) -> None:
    features = blobs(n, 6, noise, 5, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minima, "EXPANDED", 300)
        patch.setattr(symmetric, "BLOCK", 32)
        found = cluster(features, eps, 3, k1, k2)
    dense = dense_jaccard(features, k1, k2)
    if (np.abs(dense - eps) < 1e-6).any():
        return  # a pair on the boundary itself
    np.testing.assert_array_equal(found, DBSCAN(eps=eps, min_samples=3, metric="precomputed").fit_predict(dense))


@pytest.mark.long
@pytest.mark.usefixtures("adder")
def test_labels_of_two_thousand() -> None:
    features = blobs(2_000, 120, 0.6, 64)
    dense = dense_jaccard(features, 30, 6)
    reference = DBSCAN(eps=0.6, min_samples=4, metric="precomputed").fit_predict(dense)
    np.testing.assert_array_equal(cluster(features), reference)


def test_both_adders_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    features = blobs(400, 30, 0.6)
    with_numba = jaccard_graph(features)
    monkeypatch.setattr(minima, "find_spec", lambda name: None)
    without = jaccard_graph(features)
    np.testing.assert_array_equal(with_numba.indices, without.indices)
    np.testing.assert_array_equal(with_numba.data, without.data)


def test_copies_are_at_distance_zero() -> None:
    features = np.repeat(np.random.default_rng(0).normal(size=(40, 16)), 5, axis=0)
    labels = cluster(features, k1=5, k2=1)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(40), 5))


def test_errors() -> None:
    features = blobs(9, 2, 0.1)
    for message, kwargs in (
        ("k1=0", {"k1": 0}),
        ("k2=0", {"k2": 0}),
        ("radius=1", {"radius": 1.0}),
        ("radius=-1", {"radius": -1}),
    ):
        with pytest.raises(MetricError, match=message):
            jaccard_graph(features, **kwargs)
    features[4] = np.inf
    with pytest.raises(MetricError, match="features row 4"):
        jaccard_graph(features)
