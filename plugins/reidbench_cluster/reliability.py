"""Cluster reliability: SpCL's independence and compactness (Ge et al., 2020, section 3.3)."""

from __future__ import annotations

import numpy as np


def singled(labels: np.ndarray) -> np.ndarray:
    """Return labels in which every outlier (-1) is a separate class, numbered after the clusters."""
    labels = labels.copy()
    outliers = np.flatnonzero(labels < 0)
    labels[outliers] = labels.max(initial=-1) + 1 + np.arange(len(outliers))
    return labels


def distance_to(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return 1 - IoU [N] between each image's class and its class in another clustering; both without outliers."""
    pairs, inverse, both = np.unique(np.stack([labels, others]), axis=1, return_inverse=True, return_counts=True)
    union = np.bincount(labels)[pairs[0]] + np.bincount(others)[pairs[1]] - both
    apart: np.ndarray = 1 - both / union
    return apart[inverse.reshape(-1)]


def reliable_labels(
    labels: np.ndarray, looser: np.ndarray, tighter: np.ndarray, threshold: float | None, quantile: float = 0.9
) -> tuple[np.ndarray, float]:
    """Return labels [N] (-1: un-clustered) after both criteria, and the threshold of independence.

    Independence is 1 - IoU of a cluster with that of a looser clustering, compactness with that of a tighter one; a
    cluster's value is the minimum over its images. An image stays in its cluster if the cluster's independence is at
    most `threshold` and the image's compactness at most its cluster's. Without a `threshold` (the first round) it is
    the `quantile` of the clusters' independence, and applies to all later rounds; without any cluster it is 1.
    """
    classes = singled(labels)
    independence = distance_to(classes, singled(looser))
    compactness = distance_to(classes, singled(tighter))
    clusters = int(labels.max(initial=-1)) + 1
    inside = labels >= 0
    least_independence, least_compactness = np.ones(clusters), np.ones(clusters)
    np.minimum.at(least_independence, labels[inside], independence[inside])
    np.minimum.at(least_compactness, labels[inside], compactness[inside])
    if threshold is None:
        ordered = np.sort(least_independence)
        threshold = float(ordered[min(clusters - 1, round(clusters * quantile))]) if clusters else 1.0
    kept = inside.copy()
    own = labels[inside]
    kept[inside] = (least_independence[own] <= threshold) & (compactness[inside] <= least_compactness[own])
    return np.where(kept, labels, -1), threshold
