"""Three steps of each memory compared with the papers' equations in float64 numpy: loss, a gradient, the rows.

Weights and inputs come from formulas. The loss is a function of the weights, and its gradient a central difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reidbench_cluster import memory

STEPS, BATCH, INPUTS, DIM, CLUSTERS, TAU = 3, 8, 6, 5, 3, 0.05
RATE = 0.05  # of plain gradient steps
LABELS = np.array([[0, 0, 0, 1, 1, 2, 2, 0], [2, 1, 2, 1, 0, 2, 2, 2], [1, 1, 1, 1, 0, 2, 1, 0]])
PLACES = np.array([[0, 1, 2, 4, 7, 3, 2, 5], [8, 8, 1, 1, 0, 6, 3, 2], [7, 4, 2, 5, 1, 0, 8, 6]])  # hybrid memory


def formula(*shape: int, phase: float) -> np.ndarray:
    count = int(np.prod(shape))
    return np.sin(1.7 * np.arange(1, count + 1) ** 1.1 + phase).reshape(shape)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def gradient(loss: Callable[[np.ndarray], float], weights: np.ndarray) -> np.ndarray:
    found, step = np.zeros_like(weights), 1e-6
    for place in np.ndindex(*weights.shape):
        shift = np.zeros_like(weights)
        shift[place] = step
        found[place] = (loss(weights + shift) - loss(weights - shift)) / (2 * step)
    return found


def contrast(features: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log softmax(f M^T / tau)[label]."""
    logits = features @ rows.T / TAU
    return float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]))


def moved(rows: np.ndarray, features: np.ndarray, labels: np.ndarray, momentum: float, update: str) -> np.ndarray:
    """The rows after a batch: eq. of Dai et al. for each query (cm), of its hard form, and with the batch's mean."""
    rows = rows.copy()
    if update == "cm":
        for feature, label in zip(features, labels, strict=True):
            rows[label] = unit(momentum * rows[label] + (1 - momentum) * feature)
        return rows
    for label in sorted(set(labels.tolist())):
        own = [feature for feature, other in zip(features, labels, strict=True) if other == label]
        chosen = np.mean(own, 0) if update == "mean" else min(own, key=lambda f: float(f @ rows[label]))
        rows[label] = unit(momentum * rows[label] + (1 - momentum) * chosen)
    return rows


def close(name: str, found: Any, wanted: Any, tolerance: float) -> None:
    """Fails with the name of the quantity."""
    error = float(np.abs(np.asarray(found) - np.asarray(wanted)).max())
    assert error <= tolerance, f"{name}: differs by {error:.3g}"


@pytest.mark.parametrize("momentum", [0.1, 0.2])
@pytest.mark.parametrize("update", ["cm", "hard", "mean"])
def test_cluster_contrast_for_three_steps(update: Any, momentum: float) -> None:
    start = unit(formula(12, DIM, phase=0.3))
    labels = np.arange(12) % (CLUSTERS + 1) - 1  # -1: outliers
    rows = unit(np.stack([start[labels == label].mean(0) for label in range(CLUSTERS)]))
    bank = memory.ClusterMemory(
        torch.from_numpy(start), torch.from_numpy(labels), temperature=TAU, momentum=momentum, update=update
    )
    close("first rows", bank.rows, rows, 1e-12)
    weights = formula(INPUTS, DIM, phase=1.0)
    ours = torch.from_numpy(weights.copy()).requires_grad_()
    for step in range(STEPS):
        inputs, wanted = formula(BATCH, INPUTS, phase=2.0 + step), LABELS[step]

        def loss_of(w: np.ndarray, x: np.ndarray = inputs, y: np.ndarray = wanted, m: np.ndarray = rows) -> float:
            return contrast(unit(x @ w), m, y)

        loss = bank(F.normalize(torch.from_numpy(inputs) @ ours, dim=1), torch.from_numpy(wanted))
        (slope,) = torch.autograd.grad(loss, ours)
        theirs = gradient(loss_of, weights)
        close(f"loss of step {step}", loss.item(), loss_of(weights), 1e-10)
        close(f"gradient norm of step {step}", slope.norm().item() / np.linalg.norm(theirs), 1, 1e-6)
        rows = moved(rows, unit(inputs @ weights), wanted, momentum, update)
        close(f"memory rows after step {step}", bank.rows, rows, 1e-6)
        weights = weights - RATE * theirs
        with torch.no_grad():
            ours.copy_(torch.from_numpy(weights))


def hybrid(features: np.ndarray, rows: np.ndarray, classes: np.ndarray, own: np.ndarray) -> float:
    """Eq. 1 of Ge et al. with the released code's 1e-6 in both places."""
    means = np.stack([rows[classes == each].mean(0) for each in range(classes.max() + 1)])
    powers = np.exp(features @ means.T / TAU)
    share = powers / (powers.sum(1, keepdims=True) + 1e-6)
    return float(-np.mean(np.log(share[np.arange(len(own)), own] + 1e-6)))


def test_spcl_for_three_steps() -> None:
    """Two source classes, then a cluster of three images, one of two, and two un-clustered images."""
    classes = np.array([0, 1, 2, 3, 2, 4, 3, 2, 5])
    rows = unit(formula(9, DIM, phase=0.3))
    bank = memory.HybridMemory(torch.from_numpy(rows), temperature=TAU, momentum=0.2)
    bank.labels.copy_(torch.from_numpy(classes))
    weights = formula(INPUTS, DIM, phase=1.0)
    for step, places in enumerate(PLACES):
        inputs = formula(BATCH, INPUTS, phase=2.0 + step)

        def loss_of(w: np.ndarray, x: np.ndarray = inputs, p: np.ndarray = places, m: np.ndarray = rows) -> float:
            return hybrid(unit(x @ w), m, classes, classes[p])

        ours = torch.from_numpy(weights).float().requires_grad_()
        loss = bank(F.normalize(torch.from_numpy(inputs).float() @ ours, dim=1), torch.from_numpy(places))
        (slope,) = torch.autograd.grad(loss, ours)
        theirs = gradient(loss_of, weights)
        close(f"loss of step {step}", loss.item(), loss_of(weights), 1e-4)
        close(f"gradient norm of step {step}", slope.norm().item() / np.linalg.norm(theirs), 1, 1e-4)
        rows = moved(rows, unit(inputs @ weights), places, 0.2, "cm")
        close(f"memory rows after step {step}", bank.rows, rows, 1e-6)
        weights = weights - RATE * theirs
