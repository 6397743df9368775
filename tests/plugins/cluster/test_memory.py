"""Memories of Cluster Contrast and SpCL by hand: rows, updates, losses, gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reidbench_cluster import memory


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_outliers_have_no_row_and_rows_are_unit_means() -> None:
    """Row k is the unit mean of the features of cluster k."""
    features, labels = unit(7, 4), torch.tensor([0, 0, 1, 1, 1, -1, -1])
    bank = memory.ClusterMemory(features, labels)
    assert bank.rows.shape == (2, 4)
    assert torch.allclose(bank.rows[1], F.normalize(features[2:5].mean(0), dim=0))
    loss = bank(features[:4].requires_grad_(), labels[:4])
    loss.backward()
    assert torch.allclose(bank.rows.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("update", ["mean", "hard"])
def test_a_row_moves_once_per_step_and_only_in_backward(update: Any) -> None:
    """L2(.2 old + .8 chosen), hardest = lowest cosine."""
    features, labels = unit(6, 4), torch.tensor([0, 0, 0, 1, 1, 1])
    bank = memory.ClusterMemory(unit(6, 4, seed=1), labels, momentum=0.2, update=update)
    before = bank.rows.clone()
    batch = features[:3].clone().requires_grad_()
    loss = bank(batch, labels[:3])
    assert torch.equal(bank.rows, before)  # forward alone changes nothing
    loss.backward()
    chosen = features[:3].mean(0) if update == "mean" else features[:3][(features[:3] @ before[0]).argmin()]
    assert torch.allclose(bank.rows[0], F.normalize(0.2 * before[0] + 0.8 * chosen, dim=0), atol=1e-6)
    assert torch.equal(bank.rows[1], before[1])  # no image of it in the batch


def test_gradient_is_that_of_a_frozen_softmax() -> None:
    """No gradient flows into the memory; that of the features is plain cross-entropy's (1e-6)."""
    labels = torch.tensor([0, 1, 2, 1])
    bank = memory.ClusterMemory(unit(12, 5, seed=1), torch.arange(12) % 3, temperature=0.05)
    frozen = bank.rows.clone()
    ours, reference = (unit(4, 5).requires_grad_() for _ in range(2))
    bank(ours, labels).backward()
    F.cross_entropy(reference @ frozen.t() / 0.05, labels).backward()
    assert ours.grad is not None
    assert torch.allclose(ours.grad, reference.grad, atol=1e-6)
    assert not bank.rows.requires_grad


def test_hybrid_rows_move_one_image_after_the_other() -> None:
    """Rows are unit after every step, unchanged without backward, row y = norm(.2 v + .8 f)."""
    bank = memory.HybridMemory(unit(5, 4) * 3)
    before = bank.rows.clone()
    assert torch.allclose(before.norm(dim=1), torch.ones(5))
    features = unit(3, 4, seed=2).requires_grad_()
    loss = bank(features, torch.tensor([1, 3, 1]))
    assert torch.equal(bank.rows, before)
    loss.backward()
    once = F.normalize(0.2 * before[1] + 0.8 * features[0].detach(), dim=0)
    assert torch.allclose(bank.rows[1], F.normalize(0.2 * once + 0.8 * features[2].detach(), dim=0), atol=1e-6)
    assert torch.allclose(bank.rows[3], F.normalize(0.2 * before[3] + 0.8 * features[1].detach(), dim=0), atol=1e-6)
    assert torch.allclose(bank.rows.norm(dim=1), torch.ones(5))
    assert torch.equal(bank.rows[[0, 2, 4]], before[[0, 2, 4]])


def test_hybrid_loss_by_hand() -> None:
    """A class's similarity is the mean over its rows, not that with the normalised centroid."""
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    bank = memory.HybridMemory(rows, temperature=1.0)
    bank.labels.copy_(torch.tensor([0, 0, 1]))
    feature = torch.tensor([[0.6, 0.8]])
    similar = [(0.6 + 0.8) / 2, -0.6]
    share = math.exp(similar[0]) / (math.exp(similar[0]) + math.exp(similar[1]))
    assert bank(feature, torch.tensor([1])).item() == pytest.approx(-math.log(share), abs=1e-5)


def test_hybrid_classes_are_clusters_and_outliers() -> None:
    """The softmax has as many classes as clusters + outliers (+ source classes); gaps do no harm."""
    bank = memory.HybridMemory(unit(6, 4))
    bank.labels.copy_(torch.tensor([0, 0, 2, 2, 5, 7]).clamp_max(5))
    feature = unit(1, 4, seed=3)
    loss = bank(feature, torch.tensor([4]))
    classes = torch.stack([bank.rows[[0, 1]].mean(0), bank.rows[[2, 3]].mean(0), bank.rows[[4, 5]].mean(0)])
    assert loss.item() == pytest.approx(
        F.cross_entropy(feature @ classes.t() / 0.05, torch.tensor([2])).item(), abs=1e-4
    )
