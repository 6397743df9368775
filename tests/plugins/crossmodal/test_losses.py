"""The losses of two-stream by hand, and by explicit sums."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from reidbench_crossmodal.losses import CrossModalLosses, WeightedTriplet
from reidbench_crossmodal.params import TwoStreamParams


def written_out(features: torch.Tensor, labels: list[int], eps: float = 0.0) -> float:
    """The formulas of the paper in Python's numbers; `eps` is added to both sums of weights.

    With it the largest exponent is exp(0) on both sides: of a positive the farthest, of a negative nothing at all.
    """
    rows = features.double().tolist()
    total = 0.0
    for i, one in enumerate(rows):
        distances = [max(math.dist(one, other), 1e-6) for other in rows]
        positives = [d for d, label in zip(distances, labels, strict=True) if label == labels[i]]
        negatives = [d for d, label in zip(distances, labels, strict=True) if label != labels[i]]
        top = max(positives)
        over = [math.exp(d - top) for d in positives]
        under = [math.exp(-d) for d in negatives]
        farthest = sum(d * w for d, w in zip(positives, over, strict=True)) / (sum(over) + eps)
        nearest = sum(d * w for d, w in zip(negatives, under, strict=True)) / (sum(under) + eps)
        total += math.log1p(math.exp(farthest - nearest))
    return total / len(rows)


def test_four_points_on_a_line() -> None:
    """0 and 1 are one person, 3 and 7 another.

    Of 0 the positives are 0 (itself) and 1 away, with weights 1/(1+e) and e/(1+e): .731; the negatives 3 and 7, with
    weights 1/(1+e^-4) and e^-4/(1+e^-4): 3.072. The loss of 0 is log(1 + exp(.731 - 3.072)) = .0919, and so for the
    others: of 1 .731 and 2.108 (2 and 6); of 3 3.928 (4) and 2.269 (3 and 2); of 7 3.928 and 6.269 (7 and 6).
    """
    away = {distance: distance * math.e**distance / (1 + math.e**distance) for distance in (1, 4)}  # weighted mean
    near = [3 + 4 * math.exp(-4) / (1 + math.exp(-4)), 2 + 4 * math.exp(-4) / (1 + math.exp(-4))]
    near += [2 + math.exp(-1) / (1 + math.exp(-1)), 6 + math.exp(-1) / (1 + math.exp(-1))]
    gaps = [away[1] - near[0], away[1] - near[1], away[4] - near[2], away[4] - near[3]]
    expected = sum(math.log1p(math.exp(gap)) for gap in gaps) / 4
    features = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert WeightedTriplet()(features, torch.tensor([0, 0, 1, 1])).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("code", [False, True])
def test_the_weighted_triplet_is_the_sum_that_is_written_out(scale: float, code: bool) -> None:
    """At scale 3 the distances are near 24, where the two forms differ."""
    labels = [0, 0, 0, 1, 1, 2, 2, 2]
    features = scale * torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    found = WeightedTriplet(code=code)(features, torch.tensor(labels)).item()
    assert found == pytest.approx(written_out(features, labels, 1e-6 if code else 0.0), rel=1e-4)
    other = written_out(features, labels, 0.0 if code else 1e-6)
    assert (abs(found - other) > 1) == (scale == 3.0)


def test_its_gradient_pulls_persons_together_and_others_apart() -> None:
    features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]], requires_grad=True)
    loss = WeightedTriplet()(features, torch.tensor([0, 0, 1, 1]))
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.isfinite().all()
    assert gradient[0, 0] < 0 < gradient[1, 0]  # a step down the gradient moves both towards each other
    assert (gradient[:2, 1] > 0).all()  # and away from the other person
    assert (gradient[2:, 1] < 0).all()


def both(**params: Any) -> CrossModalLosses:
    torch.manual_seed(0)
    return CrossModalLosses(TwoStreamParams(**params), 5, 6)


@pytest.mark.parametrize("triplet", ["weighted", "weighted-code", "hard"])
def test_the_loss_is_cross_entropy_behind_the_neck_and_the_weighted_triplet_before_it(triplet: str) -> None:
    losses = both(triplet=triplet, triplet_weight=2.5, label_smoothing=0.0)
    before, after, labels = torch.randn(6, 6), torch.randn(6, 6), torch.tensor([0, 0, 1, 1, 4, 4])
    found = losses(before, after, labels)
    logits = after @ losses.classifiers[0].weight.t()  # no bias
    identity = -logits.log_softmax(1)[torch.arange(6), labels].mean()
    assert found["identity"].item() == pytest.approx(identity.item(), abs=1e-6)
    distances = torch.cdist(before, before)
    same = labels[:, None] == labels[None]
    hard = (0.3 + (distances * same).amax(1) - distances.masked_fill(same, torch.inf).amin(1)).clamp_min(0).mean()
    soft = written_out(before, labels.tolist(), 1e-6 if triplet == "weighted-code" else 0.0)
    expected = hard.item() if triplet == "hard" else soft
    assert found["triplet"].item() == pytest.approx(expected, rel=1e-4)
    assert found["loss"].item() == pytest.approx(identity.item() + 2.5 * expected, rel=1e-4)
