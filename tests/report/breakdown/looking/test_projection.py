"""Principal components by numpy and by hand, and the images that a drawing shows."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from reidbench.errors import ReidbenchError
from reidbench.report.breakdown.looking import projection as module
from reidbench.report.breakdown.looking.projection import HEIGHT, WIDTH, neighbourhoods, principal, projection


def columns(query: list[tuple[int, int]], gallery: list[tuple[int, int]], features: Any) -> dict[str, Any]:
    """Labels (pid, camid) and features [Q + G, D]."""
    found: dict[str, Any] = {}
    features = np.asarray(features, dtype=np.float32)
    for part, rows, own in (("query", query, features[: len(query)]), ("gallery", gallery, features[len(query) :])):
        pids, camids = zip(*rows, strict=True)
        found |= {f"{part}_pids": np.array(pids), f"{part}_camids": np.array(camids), f"{part}_features": own}
    return found


def test_components_by_hand() -> None:
    """Points on a line of direction (3, -4): the largest coefficient is the second, so its sign is positive."""
    line = np.array([[0.0, 0], [3, -4], [6, -8], [-9, 12]])
    places, shares = principal(line)
    assert places[:, 0].tolist() == pytest.approx([0, -5, -10, 15])
    assert places[:, 1].tolist() == pytest.approx([0, 0, 0, 0], abs=1e-9)
    assert shares == pytest.approx((1, 0))


def test_components_are_those_of_the_covariance() -> None:
    """Eigenvectors of the covariance matrix, with variances as eigenvalues, in any order of the rows."""
    features = np.random.Generator(np.random.PCG64(0)).normal(size=(40, 6)) * [5, 1, 3, 1, 1, 1]
    places, shares = principal(features)
    values, vectors = np.linalg.eigh(np.cov(features.T))
    axes = vectors[:, [-1, -2]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
    assert places == pytest.approx((features - features.mean(0)) @ axes)
    assert shares == pytest.approx(tuple(values[[-1, -2]] / values.sum()))
    order = np.random.Generator(np.random.PCG64(1)).permutation(40)
    assert principal(features[order])[0] == pytest.approx(places[order])


def test_less_than_two_components() -> None:
    assert principal(np.array([[2.0, 1]]))[0].tolist() == [[0, 0]]
    assert principal(np.array([[2.0], [4]]))[0].tolist() == [[-1, 0], [1, 0]]
    assert principal(np.ones((3, 2)))[1] == (0, 0)


def test_places_hues_and_words() -> None:
    """Euclidean: 0, 0 and 2, 0 and 4, 0 on a line, from the left to the right edge; junk is left out."""
    given = columns([(7, 0)], [(7, 1), (0, 0), (-1, 0)], [[0, 0], [2, 0], [4, 0], [99, 0]])
    found = projection(given, "euclidean", [])
    assert found is not None
    assert [(point.x, point.y) for point in found.points] == [
        (14, HEIGHT / 2),
        (WIDTH / 2, HEIGHT / 2),
        (546, HEIGHT / 2),
    ]
    assert [point.words for point in found.points] == [
        "identity 7, camera 0, query",
        "identity 7, camera 1, gallery",
        "distractor, camera 0, gallery",
    ]
    assert [point.identity for point in found.points] == [0, 0, None]
    assert found.cameras == (("camera 0", 0), ("camera 1", 180))
    assert found.sentence == "All 3 images of query and gallery, without junk."


def test_cosine_features_have_unit_length() -> None:
    """(1, 0), (3, 0) and (0, 5): the first two coincide."""
    found = projection(columns([(1, 0)], [(1, 0), (2, 0)], [[1, 0], [3, 0], [0, 5]]), "cosine", [])
    assert found is not None
    first, second, third = ((point.x, point.y) for point in found.points)
    assert first == second != third


def test_whole_identities_if_there_are_too_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten identities of two images, and at most nine images: every fourth identity, and the wanted one."""
    monkeypatch.setattr(module, "MOST_POINTS", 9)
    query, gallery = [(pid, 0) for pid in range(1, 11)], [(pid, 1) for pid in range(1, 11)]
    features = np.random.Generator(np.random.PCG64(0)).normal(size=(20, 3))
    found = projection(columns(query, gallery, features), "cosine", [3])
    assert found is not None
    pids = sorted({int(point.words.split(",")[0].removeprefix("identity ")) for point in found.points})
    assert pids == [1, 3, 5, 9]
    assert len(found.points) == 8
    assert found.sentence == "8 images: those of 4 of 10 identities, chosen at equal intervals."


def test_umap_separates_what_is_far_apart() -> None:
    """Two groups at distance 100 with a spread of 1: each point is nearer to its own group; and the same again."""
    pytest.importorskip("umap")
    random = np.random.Generator(np.random.PCG64(0))
    features = np.concatenate([random.normal(size=(20, 5)), random.normal(size=(20, 5)) + 100])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba and umap-learn
        places = neighbourhoods(features)
        again = neighbourhoods(features)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert distances[:20, :20].max() < distances[:20, 20:].min()
    assert np.array_equal(places, again)


@pytest.mark.skipif(find_spec("umap") is not None, reason="umap-learn is installed")
def test_umap_is_an_extra() -> None:
    given = columns([(1, 0)], [(1, 0)], [[0, 1], [1, 0]])
    with pytest.raises(ReidbenchError, match=r"--projection umap requires umap: pip install 'reidbench\[umap\]'"):
        projection(given, "cosine", [], "umap")


def test_nothing_to_draw() -> None:
    assert projection(columns([(-1, 0)], [(-1, 0)], [[1, 0], [2, 0]]), "euclidean", []) is None
