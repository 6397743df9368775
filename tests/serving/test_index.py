"""The index ranks as numpy does, also where many images are equally near."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.export.features import Named
from reidbench.serving.index import Index

pytest.importorskip("faiss")


def gallery(features: np.ndarray) -> Named:
    return Named([f"{number}.png" for number in range(len(features))], features.astype(np.float32))


def by_numpy(feature: np.ndarray, features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Order and distances of cosines in float64; ties by number."""
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = 1 - rows @ (feature / np.linalg.norm(feature))
    order = np.lexsort((np.arange(len(rows)), distances.round(9)))[:k]
    return order, distances[order]


@pytest.mark.parametrize(("size", "k"), [(1, 1), (5, 9), (300, 1), (300, 20), (300, 300)])
def test_the_flat_index_ranks_as_numpy_does(size: int, k: int) -> None:
    random = np.random.default_rng(size + k)
    features, feature = random.normal(size=(size, 24)), random.normal(size=24)
    numbers, distances = Index(gallery(features)).nearest(feature.astype(np.float32), k)
    order, expected = by_numpy(feature, features, k)
    assert numbers == order.tolist()
    np.testing.assert_allclose(distances, expected, atol=2e-6)


@pytest.mark.parametrize("copies", [2, 40, 200])
def test_images_at_the_same_distance_keep_the_order_of_the_gallery(copies: int) -> None:
    """Faiss may return any of them: more are fetched until all that are tied with the last one are there."""
    random = np.random.default_rng(copies)
    features = random.normal(size=(260, 24))
    same = random.permutation(260)[:copies]
    features[same] = features[same[0]] * random.uniform(0.5, 2, (copies, 1)).round(1)  # the same direction
    numbers, distances = Index(gallery(features)).nearest(features[same[0]].astype(np.float32), 5)
    assert numbers[: min(copies, 5)] == sorted(same.tolist())[:5]
    assert distances[0] == pytest.approx(0, abs=1e-6)


def test_hnsw_finds_nearly_all_and_the_same_each_time() -> None:
    random = np.random.default_rng(0)
    features, queries = random.normal(size=(2000, 16)), random.normal(size=(50, 16)).astype(np.float32)
    exact, one, two = (Index(gallery(features), kind) for kind in ("flat", "hnsw", "hnsw"))
    assert (exact.exact, one.exact) == (True, False)
    found = [one.nearest(query, 10)[0] for query in queries]
    assert found == [two.nearest(query, 10)[0] for query in queries]
    hits = [len({*exact.nearest(query, 10)[0]} & {*numbers}) for query, numbers in zip(queries, found, strict=True)]
    assert sum(hits) > 0.95 * 500


def test_vectors_without_a_direction_are_refused() -> None:
    features = np.eye(3)
    features[1] = 0
    with pytest.raises(DataError, match=r"^1\.png: its features are all zero, so it has no cosine distance; remove"):
        Index(gallery(features))
    with pytest.raises(DataError, match=r"^the network gives this image a zero vector"):
        Index(gallery(np.eye(3))).nearest(np.zeros(3, np.float32), 1)
