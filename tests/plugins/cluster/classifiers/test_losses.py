"""Losses of MMT compared with the paper's equations in float64 numpy, by loops over images; gradients too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from reidbench.training.optim.losses import euclidean_distances
from reidbench_cluster.classifiers import losses
from reidbench_cluster.classifiers.losses import HardLosses, Output
from tests.support.golden import close, wave

BATCH, DIM, CLASSES = 8, 5, 4
LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 3])
STEP = 1e-6


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def entropy(logits: np.ndarray, shares: np.ndarray) -> float:
    """-sum_c p_c log q_c, the mean over images."""
    return float(np.mean([-sum(p * math.log(q) for p, q in zip(*pair, strict=True))
                          for pair in zip(shares, softmax(logits), strict=True)]))  # fmt: skip


def smoothed(smoothing: float) -> np.ndarray:
    return (1 - smoothing) * np.eye(CLASSES)[LABELS] + smoothing / CLASSES


def hardest(vectors: np.ndarray, image: int) -> tuple[int, int]:
    """The farthest image of the same label, and the nearest of another."""
    far = {i: float(np.linalg.norm(vectors[image] - vectors[i])) for i in range(len(vectors))}
    same = [i for i in far if LABELS[i] == LABELS[image] and i != image] or [image]
    others = [i for i in far if LABELS[i] != LABELS[image]]
    return max(same, key=lambda i: far[i]), min(others, key=lambda i: far[i])


def triplet_share(vectors: np.ndarray, image: int, positive: int, negative: int, others: np.ndarray) -> float:
    """T = exp(d_an) / (exp(d_ap) + exp(d_an)); positive and negative are rows of `others`."""
    d_ap, d_an = (math.sqrt(max(float(np.sum((vectors[image] - others[i]) ** 2)), 1e-12)) for i in (positive, negative))
    return math.exp(d_an) / (math.exp(d_ap) + math.exp(d_an))


def triplets(vectors: np.ndarray, teacher: np.ndarray | None = None, others: np.ndarray | None = None) -> float:
    """Triplets with hard labels, or with those of a teacher; without `others` a gradient passes both images."""
    others = vectors if others is None else others
    total = 0.0
    for image in range(len(vectors)):
        pair = hardest(vectors, image)
        share = triplet_share(vectors, image, *pair, others)
        wanted = 1.0 if teacher is None else triplet_share(teacher, image, *pair, teacher)
        total -= wanted * math.log(share) + (1 - wanted) * math.log(1 - share)
    return total / len(vectors)


def slopes(loss: Callable[[np.ndarray], float], values: np.ndarray) -> np.ndarray:
    found = np.zeros_like(values)
    for place in np.ndindex(*values.shape):
        shift = np.zeros_like(values)
        shift[place] = STEP
        found[place] = (loss(values + shift) - loss(values - shift)) / (2 * STEP)
    return found


def numbers(number: int, width: int) -> np.ndarray:
    return np.asarray(2 * wave(number, BATCH, width).numpy())


def leaf(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).float().requires_grad_()


def test_soft_cross_entropy_is_that_of_the_paper() -> None:
    logits, teacher = numbers(1, CLASSES), numbers(2, CLASSES)
    ours, theirs = leaf(logits), leaf(teacher)
    loss = losses.soft_cross_entropy(ours, theirs)
    loss.backward()
    close("loss", loss, entropy(logits, softmax(teacher)), 1e-6)
    close("gradient", ours.grad, torch.from_numpy(slopes(lambda x: entropy(x, softmax(teacher)), logits)), 1e-5)
    assert theirs.grad is None


def test_soft_triplets_are_those_of_the_paper() -> None:
    """The pairs are those of the student, and the teacher may have another width."""
    vectors, teacher = numbers(1, DIM), numbers(2, DIM + 2)
    ours, theirs = leaf(vectors), leaf(teacher)
    loss = losses.soft_triplet(ours, torch.from_numpy(LABELS), theirs)
    loss.backward()
    assert any(hardest(vectors, image) != hardest(teacher, image) for image in range(BATCH))
    close("loss", loss, triplets(vectors, teacher), 1e-6)
    close("gradient", ours.grad, torch.from_numpy(slopes(lambda x: triplets(x, teacher), vectors)), 1e-4)
    assert theirs.grad is None


def test_soft_triplets_by_hand() -> None:
    """On a line, 0 and 1 against 3: d_ap 1, 1, 0 and d_an 3, 2, 2; a teacher at 0, 2, 2 has 2, 2, 0 and 2, 0, 0."""
    vectors, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    teacher = torch.tensor([[0.0], [2.0], [2.0]])
    shares = [math.exp(3) / (math.exp(1) + math.exp(3)), math.exp(2) / (math.exp(1) + math.exp(2)),
              math.exp(2) / (1 + math.exp(2))]  # fmt: skip
    wanted = [0.5, 1 / (math.exp(2) + 1), 0.5]
    expected = -sum(w * math.log(s) + (1 - w) * math.log(1 - s) for w, s in zip(wanted, shares, strict=True)) / 3
    assert losses.soft_triplet(vectors, labels, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("anchor_only", [False, True])
def test_hard_triplets_pass_their_gradient_through_all_images_or_the_anchor(anchor_only: bool) -> None:
    vectors, logits = numbers(1, DIM), numbers(3, CLASSES)
    ours = leaf(vectors)
    hard = HardLosses(0.1, anchor_only=anchor_only)
    cross_entropy, triplet = hard(Output(ours, leaf(logits)), torch.from_numpy(LABELS))
    close("cross-entropy", cross_entropy, entropy(logits, smoothed(0.1)), 1e-6)
    close("triplet", triplet, triplets(vectors), 1e-6)
    triplet.backward()
    others = vectors if anchor_only else None
    close("gradient", ours.grad, torch.from_numpy(slopes(lambda x: triplets(x, None, others), vectors)), 1e-4)


def outputs(first: int) -> list[Output]:
    """Outputs of two networks."""
    return [Output(leaf(numbers(first + n, DIM)), leaf(numbers(first + 2 + n, CLASSES))) for n in range(2)]


@pytest.mark.parametrize(("soft_ce", "soft_triplet"), [(0.5, 0.8), (0.0, 0.0), (1.0, 0.3)])
def test_each_network_learns_from_the_teacher_of_the_other(soft_ce: float, soft_triplet: float) -> None:
    """The sum over both networks; without soft labels both learn as alone."""
    students, teachers = outputs(1), outputs(5)
    hard = HardLosses(0.1, anchor_only=False)
    labels = torch.from_numpy(LABELS)
    shares: Any = {"soft_ce": soft_ce, "soft_triplet_share": soft_triplet}
    found = losses.mutual_loss(hard, students, teachers, labels, **shares)
    expected = 0.0
    for own, other in ((0, 1), (1, 0)):
        vectors, logits = (part.detach().double().numpy() for part in students[own])
        of_vectors, of_logits = (part.detach().double().numpy() for part in teachers[other])
        expected += (1 - soft_ce) * entropy(logits, smoothed(0.1)) + soft_ce * entropy(logits, softmax(of_logits))
        expected += (1 - soft_triplet) * triplets(vectors) + soft_triplet * triplets(vectors, of_vectors)
    close("loss", found, expected, 1e-6)
    found.backward()
    assert all(part.grad is not None for student in students for part in student)
    assert all(part.grad is None for teacher in teachers for part in teacher)


def test_distances_from_anchors_are_distances() -> None:
    first, second = leaf(numbers(1, DIM)), leaf(numbers(2, DIM))
    found = losses.distances_from_anchors(first, second)
    assert torch.equal(found, euclidean_distances(first, second))
    found.sum().backward()
    assert first.grad is not None
    assert second.grad is None
