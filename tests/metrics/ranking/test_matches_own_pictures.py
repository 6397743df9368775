"""A query's own picture never counts: what is left is what a gallery without that row gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.metrics import MetricError, Rules, ScoreReport, rank, rank_blocks, rank_distances

CAMERA = "their pid is in the gallery from their own camera only"
CURE = "(to keep matches from the query's own camera, use --no-camera, or `camera: none` in a matrix file)"


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Any, ...]:
    """Distances, labels and picture numbers, of which many are shared; labels of one picture may differ."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries, gallery = draw(st.integers(1, 5)), draw(st.integers(2, 12))
    distances = rng.integers(9, size=(queries, gallery))
    sides = [(rng.integers(low, 3, n), rng.integers(2, size=n)) for low, n in ((0, queries), (-1, gallery))]
    images = rng.integers(4, size=queries), rng.integers(draw(st.integers(1, 9)), size=gallery)
    return distances, (*sides[0], *sides[1]), images


@settings(deadline=None, max_examples=200)
@given(
    scene=scenes(),
    camera=st.sampled_from(("market1501", "none")),
    ties=st.sampled_from(("stable", "best", "worst")),
)
def test_as_if_the_row_were_not_in_the_gallery(scene: tuple[Any, ...], camera: Any, ties: Any) -> None:
    distances, labels, images = scene
    rules = Rules(camera=camera, ties=ties)
    aps, removed = [], [0, 0]
    for i in range(len(distances)):
        other = images[1] != images[0][i]
        removed[0] += int((~other & (labels[2] != -1)).sum())
        query = distances[i : i + 1, other], labels[0][i : i + 1], labels[1][i : i + 1]
        try:
            alone = rank_distances(*query, labels[2][other], labels[3][other], rules)
            aps.append(float(alone.ap[0]))
        except MetricError:
            aps.append(np.nan)
        own_camera = (labels[2] == labels[0][i]) & (labels[3] == labels[1][i]) & other
        removed[1] += int(own_camera.sum()) if camera == "market1501" else 0
    given_images = {"query_images": images[0], "gallery_images": images[1]}
    if np.isnan(aps).all():
        with pytest.raises(MetricError, match="no query has a true match"):
            rank_distances(distances, *labels, rules, **given_images)
        return
    found = rank_distances(distances, *labels, rules, **given_images)
    np.testing.assert_allclose(found.ap, aps, atol=1e-12)
    assert found.filtered["same_image"] == removed[0]
    assert found.filtered["same_camera"] == removed[1]
    blocks = [distances.astype(np.float64)]
    np.testing.assert_array_equal(rank_blocks(blocks, *labels, rules, **given_images).ap, found.ap)


ONE = np.array([[1.0, 0.0]])
GALLERY = np.array([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])


@pytest.mark.parametrize("camera", ["market1501", "none"])
def test_features_by_hand(camera: Any) -> None:
    """The own picture would be rank 1, from another camera by its label; without it a stranger comes first."""
    args = ONE, [7], [1], GALLERY, [7, 8, 7, 9], [2, 2, 2, 2], Rules(camera=camera)
    assert rank(*args).mAP == pytest.approx((1 + 2 / 3) / 2)
    found = rank(*args, query_images=[5], gallery_images=[5, 6, 7, 8])
    assert found.mAP == pytest.approx(1 / 2)
    assert found.filtered == {"junk": 0, "same_camera": 0, "same_image": 1}
    none = rank(*args, query_images=[5], gallery_images=[1, 2, 3, 4])
    assert (none.mAP, none.filtered["same_image"]) == (rank(*args).mAP, 0)


def test_an_own_picture_is_no_false_match_either() -> None:
    """The same picture under another person's number is a labelling error, not a stranger at rank 1."""
    args = ONE, [7], [1], GALLERY, [8, 7, 9, 9], [2] * 4
    assert rank(*args).first_hit.tolist() == [2]
    assert rank(*args, query_images=[5], gallery_images=[5, 6, 7, 8]).first_hit.tolist() == [1]


def test_an_own_picture_is_never_drawn() -> None:
    """Single shot: person 8 has the query's own picture and one behind the match; person 9 nothing else."""
    gallery = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [1.0, 0.0]])
    args = ONE, [7], [1], gallery, [8, 7, 8, 9], [2] * 4, Rules(gallery="single-shot", repeats=50)
    assert rank(*args).cmc_at[1] == 0
    found = rank(*args, query_images=[5], gallery_images=[5, 6, 7, 5])
    assert found.cmc_at[1] == 1
    assert found.filtered["same_image"] == 2


def test_reasons_name_the_own_picture() -> None:
    distances = np.ones((3, 4))
    images = {"query_images": [1, 2, 3], "gallery_images": [1, 2, 9, 8]}
    found = rank_distances(distances, [5, 6, 7], [1, 1, 1], [5, 6, 6, 7], [2, 2, 1, 2], **images)
    assert found.invalid_queries.reasons == {
        "their pid is in the gallery as their own image only": 1,
        "their pid is in the gallery from their own camera or as their own image only": 1,
    }


@pytest.mark.parametrize(
    ("gallery_pids", "gallery_camids", "end"),
    [
        ([7, 7, 8], [1, 1, 1], f"{CAMERA}; the same holds for all 2 queries {CURE}"),
        (
            [7, 7, 9],
            [1, 1, 1],
            f"; of 2 queries, 1 because {CAMERA}; 1 because their pid is not in the gallery {CURE}",
        ),
        ([9, 9, 9], [2, 2, 2], "their pid is not in the gallery; the same holds for all 2 queries"),
    ],
)
def test_a_set_without_true_matches_names_the_cure(gallery_pids: Any, gallery_camids: Any, end: str) -> None:
    with pytest.raises(MetricError) as caught:
        rank_distances(np.ones((2, 3)), [7, 8], [1, 1], gallery_pids, gallery_camids)
    assert str(caught.value).endswith(end)
    assert str(caught.value).startswith("no query has a true match in the gallery: query 0 (pid 7")


def test_one_side_alone_and_wrong_lengths_are_refused() -> None:
    args = ONE, [7], [1], GALLERY, [7, 8, 7, 9], [2, 2, 2, 2]
    with pytest.raises(MetricError, match="gallery_images is missing"):
        rank(*args, query_images=[5])
    with pytest.raises(MetricError, match="gallery_pids has 4 entries but gallery_images has 1"):
        rank(*args, query_images=[5], gallery_images=[5])
    with pytest.raises(MetricError, match="query_images must be integers, not float64"):
        rank(*args, query_images=[0.5], gallery_images=[1, 2, 3, 4])


def test_the_report_counts_own_pictures() -> None:
    args = ONE, [7], [1], GALLERY, [7, 8, 7, 9], [2, 2, 2, 2]
    found = rank(*args, query_images=[5], gallery_images=[5, 6, 7, 8])
    assert "1 pairs of a query and its own image" in ScoreReport("a", found, np.array([7]), np.array([1])).as_text()
