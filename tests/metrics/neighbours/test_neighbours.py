"""Nearest neighbours against a stable sort of float64 distances."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reidbench.metrics import MetricError, nearest_neighbours, search
from reidbench.metrics.neighbours import faiss_search, symmetric
from reidbench.metrics.neighbours.neighbours import nearest_of
from reidbench.metrics.neighbours.vectors import Vectors


def squared_distances(query: Any, gallery: Any, distance: str) -> Any:
    query, gallery = np.asarray(query, float), np.asarray(gallery, float)
    if distance == "cosine":
        query, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, gallery))
    return ((query[:, None] - gallery[None]) ** 2).sum(2)


def blobs(n: int, dim: int = 16, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n // 8 + 1, dim))
    return centres[rng.integers(len(centres), size=n)] + 0.5 * rng.normal(size=(n, dim))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("backend", ["product", "faiss"])
@pytest.mark.parametrize("block", [50, 64, 2_048])
def test_lists_and_farthest(distance: str, backend: Any, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symmetric, "BLOCK", block)
    monkeypatch.setattr(faiss_search, "QUERIES", block)
    features = blobs(333)
    dense = squared_distances(features, features, distance)
    found = nearest_of(Vectors({"features": features}, distance), 21, backend, farthest=True)
    expected = np.argsort(dense, axis=1, kind="stable")[:, :21]
    np.testing.assert_array_equal(found.indices, expected)
    scale = dense.max()
    np.testing.assert_allclose(found.squared, np.take_along_axis(dense, expected, 1), atol=2e-6 * scale)
    np.testing.assert_allclose(found.farthest, dense.max(1), rtol=1e-5)


@settings(deadline=None, max_examples=100)
@given(
    n=st.integers(1, 60),
    k=st.integers(1, 70),
    levels=st.integers(1, 5),
    block=st.integers(3, 70),
    seed=st.integers(0, 999),
)
@example(n=5, k=2, levels=4, block=3, seed=438)  # few and far from the origin: their mean is subtracted
def test_ties_are_ordered_by_index(n: int, k: int, levels: int, block: int, seed: int) -> None:
    """Small whole numbers: distances are exact and most of them shared by many."""
    features = np.random.default_rng(seed).integers(levels, size=(n, 3)).astype(np.float32)
    dense = squared_distances(features, features, "euclidean")
    expected = np.argsort(dense, axis=1, kind="stable")[:, :k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symmetric, "BLOCK", block)
        found = nearest_neighbours(features, k, "euclidean")
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.squared, np.take_along_axis(dense, expected, 1), atol=1e-4)
    np.testing.assert_array_equal(search(features, features, k, "euclidean").indices, expected)


@pytest.mark.parametrize("backend", ["product", "faiss"])
def test_copies_under_cosine(backend: Any) -> None:
    """Eleven copies of everything, more than the margin: each list starts with the copies, by index."""
    features = np.tile(blobs(40), (11, 1)).astype(np.float32) * np.repeat(np.float32(2) ** np.arange(11), 40)[:, None]
    found = nearest_neighbours(features, 5, backend=backend)
    np.testing.assert_array_equal(found.indices, (np.arange(440) % 40)[:, None] + 40 * np.arange(5))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_search_in_another_set(distance: str, dtype: str) -> None:
    query, gallery = blobs(50, seed=1).astype(dtype), blobs(700).astype(dtype)
    dense = squared_distances(query, gallery, distance)
    found = search(query, gallery, 10, distance)
    expected = np.argsort(dense, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.squared, np.take_along_axis(dense, expected, 1), atol=2e-6 * dense.max())
    assert search(query, gallery[:4], 10, distance).indices.shape == (50, 4)


def test_a_gpu_is_only_looked_for_where_there_is_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(faiss_search, "_DEVICES", (str(tmp_path / "none"),))
    assert faiss_search.gpus() == 0
    monkeypatch.setattr(faiss_search, "_DEVICES", (str(tmp_path),))
    assert faiss_search.gpus() >= 0


def install(site: Path, *distributions: str) -> None:
    """Folders of metadata as pip leaves them."""
    for name in distributions:
        info = site / f"{name.replace('-', '_')}-1.15.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.15.1\n")


@pytest.mark.parametrize("other", ["faiss-gpu", "faiss-gpu-cu12"])
def test_two_distributions_of_faiss_are_refused_with_the_cure(
    other: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(tmp_path, "faiss-cpu")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert faiss_search.clash() == ""
    install(tmp_path, other)
    importlib.invalidate_caches()
    cure = f"pip uninstall -y faiss-cpu {other}, then pip install {other} "
    said = f"faiss-cpu and {other} are installed together and overwrite each other's files: {cure}"
    assert re.match(said, faiss_search.clash())
    with pytest.raises(MetricError, match=said):
        nearest_neighbours(blobs(9), 3, backend="faiss")
    assert len(nearest_neighbours(blobs(9), 3).indices) == 9  # without a GPU nothing asks for faiss


def test_a_missing_faiss_is_a_sentence_and_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    monkeypatch.setattr(faiss_search, "_DEVICES", (str(tmp_path),))
    assert faiss_search.gpus() == 0
    with pytest.raises(MetricError, match=r"No module named 'faiss'.*pip install faiss-cpu, or 'reidbench\[gpu\]'"):
        nearest_neighbours(blobs(9), 3, backend="faiss")


def test_errors() -> None:
    features = blobs(9)
    with pytest.raises(MetricError, match="k=0"):
        nearest_neighbours(features, 0)
    with pytest.raises(MetricError, match="k=0"):
        search(features, features, 0)
    with pytest.raises(MetricError, match="backend='annoy' is unknown"):
        nearest_neighbours(features, 1, backend="annoy")  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="distance='manhattan' is unknown"):
        nearest_neighbours(features, 1, "manhattan")
    features[3, 2] = np.nan
    with pytest.raises(MetricError, match="features row 3 contains NaN"):
        nearest_neighbours(features, 1)


def test_searching_with_zero_vectors_needs_euclidean() -> None:
    gallery = np.array([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(MetricError, match=r"gallery_features row 1 is a zero vector.*1 of 2 rows"):
        search(gallery[:1], gallery, 1)
    assert search(gallery[:1], gallery, 2, "euclidean").indices.tolist() == [[0, 1]]
