"""Losses of the BoT family against hand calculation."""

from __future__ import annotations

import math

import pytest
import torch

from reidbench.training import BatchHardTriplet, CenterLoss, LabelSmoothingCrossEntropy
from reidbench.training.optim.losses import euclidean_distances


def test_label_smoothing_spreads_over_all_classes() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    log_p = torch.log_softmax(logits, 1)[0]
    target = torch.tensor([0.9 + 0.1 / 4, 0.1 / 4, 0.1 / 4, 0.1 / 4])
    assert target.sum().item() == pytest.approx(1)
    loss = LabelSmoothingCrossEntropy(0.1)(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(-(target * log_p).sum().item(), abs=1e-6)


def test_equal_rows_are_one_millionth_apart() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    distances = euclidean_distances(x, x)
    assert distances[0, 0].item() == pytest.approx(1e-6)
    distances.sum().backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]


def test_batch_hard_by_hand() -> None:
    # on a line: identity 0 at 0 and 3, identity 1 at 4 and 10
    features = torch.tensor([[0.0], [3.0], [4.0], [10.0]])
    labels = torch.tensor([0, 0, 1, 1])
    # hardest positives 3, 3, 6, 6; hardest negatives 4, 1, 1, 7
    expected = [max(0, 0.3 + p - n) for p, n in ((3, 4), (3, 1), (6, 1), (6, 7))]
    assert BatchHardTriplet(0.3)(features, labels).item() == pytest.approx(sum(expected) / 4, abs=1e-5)


def test_soft_margin_at_equal_distances_is_log_2() -> None:
    features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    labels = torch.tensor([0, 0, 1, 1])  # a square: every hardest pair is one side
    assert BatchHardTriplet(None)(features, labels).item() == pytest.approx(math.log(2), abs=1e-5)


def test_center_loss_and_its_step_do_not_depend_on_the_weight() -> None:
    loss = CenterLoss(2, 3)
    features = torch.zeros(2, 3)
    labels = torch.tensor([0, 0])
    center = loss.centers[0].detach().clone()
    assert loss(features, labels).item() == pytest.approx(center.pow(2).sum().item(), rel=1e-5)
    (5e-4 * loss(features, labels)).backward()
    loss.centers.grad.mul_(1 / 5e-4)  # type: ignore[union-attr]
    torch.optim.SGD(loss.parameters(), lr=0.5).step()
    # d/dc of the mean of |f - c|^2 over two images of one class is 2 (c - f): a step of .5 lands on f
    assert loss.centers[0].abs().max().item() < 1e-6


def test_batch_hard_triplet() -> None:
    """Hermans et al., equation 5: alone, an image is its own positive, at 1e-6; equal distances cost log 2 softly."""
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    assert euclidean_distances(features, features)[0, 0].item() == pytest.approx(1e-6)
    hinge = BatchHardTriplet(0.3)(features, torch.tensor([0, 1]))
    assert hinge.item() == 0.0  # 0.3 + 0 - 5
    hinge.backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    equal = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    # d(0, 1) = d(0, 2) = d(1, 2) = 1: of the first two the gap is 0, of the third, alone, it is 1e-6 - 1.
    soft = BatchHardTriplet(None)(equal, torch.tensor([0, 0, 1]))
    assert soft.item() == pytest.approx((2 * math.log(2) + math.log(1 + math.exp(-1))) / 3, abs=1e-5)


def test_label_smoothing_is_spread_over_all_classes() -> None:
    """1 - eps + eps / C for the right class and eps / C for the others, which sums to 1."""
    logits, label = torch.tensor([[2.0, 0.0, -1.0, 0.5]]), torch.tensor([0])
    target = torch.tensor([0.9 + 0.025, 0.025, 0.025, 0.025])
    assert target.sum().item() == pytest.approx(1)
    expected = -(target * logits.log_softmax(1)).sum().item()
    assert LabelSmoothingCrossEntropy(0.1)(logits, label).item() == pytest.approx(expected, abs=1e-6)
