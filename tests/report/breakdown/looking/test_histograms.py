"""Histograms of distances, counted by hand on a line of persons."""

from __future__ import annotations

import re

import numpy as np
import pytest

from reidbench.report.breakdown.looking import histograms as module
from reidbench.report.breakdown.looking.histograms import BINS, HEIGHT, WIDTH, Histogram, histograms
from tests.report.breakdown.looking.test_projection import columns

# Queries at 0 (identity 1, camera 0) and 40 (identity 2, camera 1), on a line with a second coordinate of 0.
LINE = columns(
    [(1, 0), (2, 1)],
    [(1, 0), (1, 1), (2, 0), (0, 1), (-1, 0)],
    [[0, 0], [40, 0], [0, 0], [10, 0], [20, 0], [40, 0], [1000, 0]],
)


def test_counts_by_hand() -> None:
    """Distances of query 1: 0+, 10+, 20-, 40-; of query 2: 40-, 30-, 20+, 0-. Bins have a width of 1."""
    found = histograms(LINE, "euclidean")
    assert found is not None
    assert (found.low, found.high, found.distance) == (0, 40, "euclidean")
    every, same, across = found.groups
    assert [every.name, same.name, across.name] == ["All pairs", "Same camera", "Different cameras"]
    assert np.flatnonzero(every.positives).tolist() == [0, 10, 20]
    assert dict(zip(*np.unique(np.repeat(np.arange(BINS), every.negatives), return_counts=True), strict=True)) == {
        0: 1, 20: 1, 30: 1, 39: 2
    }  # fmt: skip
    assert (every.counts, every.means) == ((3, 5), (10, 26))
    # Same camera: query 1 with 0+ and 20-, query 2 with 30- and 0-.
    assert (same.counts, same.means) == ((1, 3), (0, pytest.approx(50 / 3)))
    assert (across.counts, across.means) == ((2, 2), (15, 40))


def test_each_pair_of_cameras() -> None:
    found = histograms(LINE, "euclidean")
    assert found is not None
    assert [(pair.name, pair.counts, pair.means) for pair in found.pairs] == [
        ("camera 0 → camera 0", (1, 1), (0, 20)),
        ("camera 0 → camera 1", (1, 1), (10, 40)),
        ("camera 1 → camera 0", (1, 1), (20, 40)),
        ("camera 1 → camera 1", (0, 2), (None, 15)),
    ]
    assert [pair.overlap for pair in found.pairs] == [0, 0, 0, None]


def test_overlap_is_the_shared_area() -> None:
    """Positives 1/2, 1/2, 0; negatives 0, 1/4, 3/4: they share 1/4."""
    positives, negatives = np.zeros((2, BINS), dtype=np.int64)
    positives[:2], negatives[1:3] = 2, [3, 9]
    found = Histogram("x", positives, negatives, (0, 0))
    assert found.overlap == pytest.approx(1 / 4)
    assert Histogram("x", positives, positives * 7, (0, 0)).overlap == pytest.approx(1)


def test_outlines_have_the_height_of_the_highest_share() -> None:
    """Shares 1/2, 1/2 and 1/4, 3/4 of bins of width 10: 2/3 and 1/3 of the height for the others, less 4 at the top."""
    positives, negatives = np.zeros((2, BINS), dtype=np.int64)
    positives[:2], negatives[:2] = 1, [1, 3]
    one, other = Histogram("x", positives, negatives, (0, 0)).outlines()
    tops = [[float(top) for top in re.findall(r"V([\d.]+)H", path)[:3]] for path in (one, other)]
    full = HEIGHT - 4
    assert tops == [
        pytest.approx([HEIGHT - full * 2 / 3] * 2 + [HEIGHT], abs=0.1),
        pytest.approx([HEIGHT - full / 3, 4, HEIGHT], abs=0.1),
    ]
    assert one.endswith(f"H{WIDTH}V{HEIGHT}Z")


def test_an_image_is_not_compared_with_itself() -> None:
    shared = {**LINE, "query_images": np.array([5, 6]), "gallery_images": np.array([5, 1, 2, 3, 4])}
    found = histograms(shared, "euclidean")
    assert found is not None
    assert found.groups[0].counts == (2, 5)  # without the distance 0 of query 1


def test_unknown_cameras_and_cosine() -> None:
    """Cosine distances 0 and 1; pairs of an unknown camera are neither of one camera nor of two."""
    given = columns([(1, -1)], [(1, 0), (2, -1)], [[2, 0], [3, 0], [0, 1]])
    found = histograms(given, "cosine")
    assert found is not None
    assert [(one.name, one.counts) for one in found.groups] == [("All pairs", (1, 1))]
    assert [one.name for one in found.pairs] == ["unknown camera → unknown camera", "unknown camera → camera 0"]
    assert (found.low, found.high) == (pytest.approx(0), pytest.approx(1))


def test_limits_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 5)
    monkeypatch.setattr(module, "MOST_CAMERAS", 1)
    found = histograms(LINE, "euclidean")
    assert found is not None
    assert found.pairs == ()
    assert sum(found.groups[0].counts) == 4  # of the first query only
    assert found.sentence == (
        "1 of 2 queries, taken at equal intervals. There are more than 1 cameras, so single pairs are not shown."
    )


def test_without_pairs() -> None:
    assert histograms(columns([(-1, 0)], [(1, 0)], [[0, 1], [0, 1]]), "euclidean") is None
    one = columns([(1, 0)], [(1, 0)], [[0, 1], [0, 1]])
    found = histograms(one, "euclidean")
    assert found is not None
    assert (found.low, found.high, found.groups[0].counts) == (0, 0, (1, 0))
