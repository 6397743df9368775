"""The long tail: single images, consecutive numbers, doubled identities."""

from __future__ import annotations

import numpy as np

from reidbench.training.batches.resampling import consecutive, doubled_small, without_singles

LABELS = np.array([7, 3, 7, 9, 3, 3, 12])  # 9 and 12 have one image each


def test_identities_of_one_image_go() -> None:
    assert without_singles(LABELS).tolist() == [0, 1, 2, 4, 5]
    assert consecutive(LABELS[without_singles(LABELS)]).tolist() == [1, 0, 1, 0, 0]


def test_probability_one_doubles_all_small_ones_and_only_those() -> None:
    assert doubled_small(LABELS, below=100, probability=1.0, seed=0).tolist() == [*range(7), 0, 1, 2, 4, 5]
    assert doubled_small(LABELS, below=3, probability=1.0, seed=0).tolist() == [*range(7), 0, 2]
    assert doubled_small(LABELS, below=2, probability=1.0, seed=0).tolist() == [*range(7)]
    assert doubled_small(LABELS, below=100, probability=0.0, seed=0).tolist() == [*range(7)]


def test_half_of_many_identities_are_doubled_as_the_seed_says() -> None:
    labels = np.repeat(np.arange(1000), 3)
    drawn = doubled_small(labels, below=100, probability=0.5, seed=1)
    extra = labels[drawn[3000:]]
    assert np.array_equal(np.unique(extra, return_counts=True)[1], np.full(len(extra) // 3, 3))  # whole identities
    assert 450 < len(extra) / 3 < 550  # 500 expected, sd 16
    assert np.array_equal(drawn, doubled_small(labels, below=100, probability=0.5, seed=1))
    assert not np.array_equal(drawn, doubled_small(labels, below=100, probability=0.5, seed=2))
    # an identity's lot does not depend on how many images the others have
    shorter = np.concatenate([[0, 0], np.repeat(np.arange(1, 1000), 3)])
    assert set(shorter[doubled_small(shorter, below=100, probability=0.5, seed=1)[2999:]]) == set(extra)
