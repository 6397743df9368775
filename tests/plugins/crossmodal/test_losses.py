"""The losses of two-stream by explicit sums."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from reidbench_crossmodal.losses import CrossModalLosses
from reidbench_crossmodal.params import TwoStreamParams
from tests.support.golden import weighted_triplet


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
    soft = weighted_triplet(before, labels.tolist(), 1e-6 if triplet == "weighted-code" else 0.0)
    expected = hard.item() if triplet == "hard" else soft
    assert found["triplet"].item() == pytest.approx(expected, rel=1e-4)
    assert found["loss"].item() == pytest.approx(identity.item() + 2.5 * expected, rel=1e-4)
