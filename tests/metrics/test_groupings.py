"""Agglomerative, k-means and circular search on points that can be clustered by hand."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.metrics import groupings
from reidbench.metrics.errors import MetricError


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


# Nearest others: 0 -> 10 (1), 10 -> 18 (2), 18 -> 10 (1): 10 and 18 name each other. 90 -> 100 and back. 180 is alone.
POINTS = on_circle(0, 10, 18, 90, 100, 180)
NEAR = 1 - np.cos(np.radians(15))


@pytest.mark.parametrize(
    ("chains", "mutual", "labels"),
    [
        ("union", "keep", [0, 0, 0, 1, 1, -1]),
        # both links between 10 and 18 go, 0 -> 10 stays; 90 and 100 forget each other
        ("union", "drop", [0, 0, -1, -1, -1, -1]),
        # 10 is named by 0 and 18: it stands for itself and them; 18 is named by 10, the first of both stands for both
        ("parent", "keep", [0, 0, 0, 1, 1, -1]),
        ("parent", "drop", [0, 0, -1, -1, -1, -1]),
    ],
)
def test_circular_search_by_hand(chains: str, mutual: str, labels: list[int]) -> None:
    found = groupings.circular_search(POINTS, NEAR, chains, mutual)  # type: ignore[arg-type]
    assert found.tolist() == labels


def test_chains_by_hand() -> None:
    """0 -> 10 -> 19 -> 27 <-> 34: a chain that ends in two that name each other."""
    points = on_circle(0, 10, 19, 27, 34)
    assert groupings.circular_search(points, NEAR, "union", "keep").tolist() == [0, 0, 0, 0, 0]
    assert groupings.circular_search(points, NEAR, "union", "drop").tolist() == [0, 0, 0, 0, -1]
    # 0's parent is 10, also the parent of others: every parent is a separate identity, 0 joins the first
    assert groupings.circular_search(points, NEAR, "parent", "drop").tolist() == [0, 0, -1, -1, -1]
    # kept, 27 and 34 are one identity, which 19 does not join: others name it
    assert groupings.circular_search(points, NEAR, "parent", "keep").tolist() == [0, 0, -1, 1, 1]


def test_who_follows_one_of_two_that_name_each_other_joins_both() -> None:
    """10 <-> 18 <- 26.5: the first of the two stands for both, and for the follower of the second."""
    points = on_circle(10, 18, 26.5)
    assert groupings.circular_search(points, NEAR, "parent", "keep").tolist() == [0, 0, 0]
    assert groupings.circular_search(points, NEAR, "parent", "drop").tolist() == [-1, 0, 0]


def test_ties_by_hand() -> None:
    """0 is as far from 10 as from -10, which each have a nearer one."""
    points = on_circle(-17, -10, 0, 10, 17)
    first = groupings.circular_search(points, NEAR, ties="first")
    last = groupings.circular_search(points, NEAR, ties="last")
    assert first.tolist() == [0, 0, 0, 1, 1]
    assert last.tolist() == [0, 0, 1, 1, 1]
    copies = on_circle(50, 0, 50, 50, 120)  # three images of one direction: 0, 2, 3
    assert groupings._parents(copies, 0.1, "never", "first").tolist() == [2, -1, 0, 0, -1]
    assert groupings._parents(copies, 0.1, "never", "last").tolist() == [3, -1, 3, 2, -1]


def test_an_image_that_may_find_itself() -> None:
    copies = on_circle(50, 0, 50, 50, 5)
    assert groupings._parents(copies, 0.1, "allowed", "first").tolist() == [-1, -1, 0, 0, -1]
    assert groupings._parents(copies, 0.1, "allowed", "last").tolist() == [3, -1, 3, -1, -1]
    assert groupings.circular_search(POINTS, NEAR, self_match="allowed").tolist() == [-1] * 6


def test_nobody_is_near_enough_and_equal_images() -> None:
    assert groupings.circular_search(POINTS, 1e-6).tolist() == [-1] * 6
    twins = on_circle(0, 0, 90, 90)
    assert groupings.circular_search(twins, 0.1).tolist() == [0, 0, 1, 1]
    assert groupings.circular_search(twins[:1], 0.1).tolist() == [-1]


def test_agglomerative_by_hand() -> None:
    # average linkage: {10, 18} at .0097, 0 joins at (.0152 + .0489) / 2 = .032; 90 and 100 at .0152
    assert groupings.agglomerative(POINTS, 0.02).tolist() == [-1, 0, 0, 1, 1, -1]
    assert groupings.agglomerative(POINTS, 0.04).tolist() == [0, 0, 0, 1, 1, -1]
    assert groupings.agglomerative(POINTS[:1]).tolist() == [-1]


def test_k_means_finds_far_groups_and_is_seeded() -> None:
    assert groupings.k_means(POINTS, 3, seed=0).tolist() == [0, 0, 0, 1, 1, -1]
    assert groupings.k_means(POINTS[:2], 9).tolist() == [-1, -1]  # no more clusters than images
    with pytest.raises(MetricError, match="at least 1"):
        groupings.k_means(POINTS, 0)


def test_labels_are_numbered_by_first_appearance() -> None:
    assert groupings.consecutive(np.array([7, 3, 3, 7, 5, -1, -1])).tolist() == [0, 1, 1, 0, -1, -1, -1]
