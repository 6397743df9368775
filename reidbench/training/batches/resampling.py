"""Select an epoch's images if identities have very different numbers of images."""

from __future__ import annotations

import numpy as np


def without_singles(labels: np.ndarray) -> np.ndarray:
    """Sorted indices of the images whose identity has at least two: a single image has no positive."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[inverse] > 1)


def consecutive(labels: np.ndarray) -> np.ndarray:
    """The same identities numbered 0 .. C - 1 in the order of their old numbers."""
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def doubled_small(labels: np.ndarray, *, below: int, probability: float, seed: int) -> np.ndarray:
    """Indices of all images, followed by a second copy of all images of some identities, in order.

    An identity of n images, 1 < n < `below`, is doubled with `probability`; each draws one number from `seed`, in the
    order of the identities' numbers.
    """
    values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    drawn = np.random.default_rng(seed).random(len(values)) < probability
    chosen = drawn & (counts > 1) & (counts < below)
    everything = np.arange(len(labels))
    return np.concatenate([everything, everything[chosen[inverse.reshape(-1)]]])
