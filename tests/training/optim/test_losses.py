"""Losses of the BoT family against hand calculation."""

from __future__ import annotations

import math

import pytest
import torch

from reidbench.training import BatchHardTriplet, CenterLoss, LabelSmoothingCrossEntropy, WeightedTriplet
from reidbench.training.optim.losses import euclidean_distances, triplet_loss
from tests.support.golden import weighted_triplet


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
    loss.undo_weight(5e-4)
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


def test_the_weighted_triplet_of_four_points_on_a_line() -> None:
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
def test_the_weighted_triplet_is_the_sum_that_is_weighted_triplet(scale: float, code: bool) -> None:
    """At scale 3 the distances are near 24, where the two forms differ."""
    labels = [0, 0, 0, 1, 1, 2, 2, 2]
    features = scale * torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    found = WeightedTriplet(code=code)(features, torch.tensor(labels)).item()
    assert found == pytest.approx(weighted_triplet(features, labels, 1e-6 if code else 0.0), rel=1e-4)
    other = weighted_triplet(features, labels, 0.0 if code else 1e-6)
    assert (abs(found - other) > 1) == (scale == 3.0)


def test_the_weighted_triplets_gradient_pulls_persons_together_and_others_apart() -> None:
    features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]], requires_grad=True)
    loss = WeightedTriplet()(features, torch.tensor([0, 0, 1, 1]))
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.isfinite().all()
    assert gradient[0, 0] < 0 < gradient[1, 0]  # a step down the gradient moves both towards each other
    assert (gradient[:2, 1] > 0).all()  # and away from the other person
    assert (gradient[2:, 1] < 0).all()


def test_a_methods_word_selects_the_triplet() -> None:
    features, labels = torch.tensor([[0.0], [20.0], [30.0], [70.0]]), torch.tensor([0, 0, 1, 1])
    found = {name: triplet_loss(name, 0.3)(features, labels).item() for name in ("hard", "weighted", "weighted-code")}
    # Hardest positives 20, 20, 40, 40; hardest negatives 30, 10, 10, 50.
    assert found["hard"] == pytest.approx((0 + 10.3 + 30.3 + 0) / 4)
    assert found["weighted"] == pytest.approx((math.log1p(math.exp(-10)) + 10 + 30 + math.exp(-10)) / 4, rel=1e-3)
    assert found["weighted-code"] == pytest.approx(weighted_triplet(features, labels.tolist(), 1e-6), rel=1e-4)
