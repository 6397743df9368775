"""SpCL's reliability of clusters by hand."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench_cluster import reliability


def test_distances_between_clusterings_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    others = np.array([0, 0, 1, 1, 1])
    # image 0: {0,1,2} and {0,1}: 1 - 2/3; image 2: {0,1,2} and {2,3,4}: 1 - 1/5; image 3: {3,4} and {2,3,4}: 1 - 2/3
    assert reliability.distance_to(labels, others) == pytest.approx([1 / 3, 1 / 3, 4 / 5, 1 / 3, 1 / 3])
    assert reliability.singled(np.array([0, -1, 0, -1])).tolist() == [0, 1, 0, 2]


def test_unreliable_images_and_clusters_become_instances() -> None:
    labels = np.array([0, 0, 0, 1, 1, -1])
    looser = np.array([0, 0, 0, 1, 1, 1])  # cluster 1 grows: independence 1 - 2/3
    tighter = np.array([0, 0, -1, 1, 1, -1])  # the third image leaves cluster 0
    kept, threshold = reliability.reliable_labels(labels, looser, tighter, None, quantile=0.5)
    # sorted independence [0, 1/3]; round(2 * .5) = the second
    assert threshold == pytest.approx(1 / 3)
    assert kept.tolist() == [0, 0, -1, 1, 1, -1]
    kept, same = reliability.reliable_labels(labels, looser, tighter, 0.1)
    assert same == 0.1
    assert kept.tolist() == [0, 0, -1, -1, -1, -1]


def test_all_outliers_still_have_a_threshold() -> None:
    """The percentile of an empty list must not crash."""
    nothing = np.full(4, -1)
    kept, threshold = reliability.reliable_labels(nothing, nothing, nothing, None)
    assert kept.tolist() == [-1] * 4
    assert threshold == 1.0
