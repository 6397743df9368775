"""MGN and BDB compared with their equations in float64, on plain tensors: vectors, loss, one gradient norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from reidbench.training import Backbone, IdentityLosses, Preprocess
from reidbench_baseline.bdb import BdbEmbedder, BdbLosses
from reidbench_baseline.mgn import MgnEmbedder, MgnLosses, _seen
from reidbench_baseline.params import BdbParams, MgnParams, TinyParams
from reidbench_baseline.resnet import resnet_tiny

pytestmark = pytest.mark.usefixtures("one_thread")
LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
EPS = 1e-5  # of a batch norm


def images() -> torch.Tensor:
    return torch.sin(torch.arange(8 * 3 * 96 * 32, dtype=torch.float64) ** 1.5).view(8, 3, 96, 32)


def tiny() -> Backbone:
    network = resnet_tiny(TinyParams(width=4), (96, 32))
    network.spec = {}
    return network


def by_formula(network: nn.Module) -> nn.Module:
    """Weights from a formula: sines of a growing phase, scaled to keep numbers near 1; norms around 1."""
    for number, parameter in enumerate(network.parameters()):
        waves = torch.sin(0.7 * torch.arange(parameter.numel(), dtype=torch.float64) + number).view(parameter.shape)
        with torch.no_grad():
            if parameter.ndim > 1:
                parameter.copy_(waves * math.sqrt(3 / parameter[0].numel()))
            else:
                parameter.copy_(0.1 * waves + (number % 2 if "norm" in _owner(network, parameter) else 0))
    return network


def _owner(network: nn.Module, parameter: nn.Parameter) -> str:
    return next(
        "norm" if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.weight is parameter else ""
        for module in network.modules()
        if any(own is parameter for own in module.parameters(recurse=False))
    )


def normed(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    """Batch norm of vectors [B, D] by the batch's own mean and variance."""
    assert isinstance(norm.weight, torch.Tensor)
    assert isinstance(norm.bias, torch.Tensor)
    deviation = ((x - x.mean(0)) ** 2).mean(0)
    return (x - x.mean(0)) / (deviation + EPS).sqrt() * norm.weight + norm.bias


def cross_entropy(x: torch.Tensor, head: nn.Module, smoothing: float) -> torch.Tensor:
    """- sum over classes of the smoothed target times log softmax, the mean over images."""
    assert isinstance(head, nn.Linear)
    logits = x @ head.weight.T + (0 if head.bias is None else head.bias)
    logs = logits - logits.exp().sum(1, keepdim=True).log()
    target = torch.full_like(logs, smoothing / logs.shape[1])
    target[range(len(LABELS)), LABELS] += 1 - smoothing
    return -(target * logs).sum(1).mean()


def triplet(x: torch.Tensor, margin: float | None) -> torch.Tensor:
    """For each image the farthest of the same identity and the nearest of another."""
    rows = []
    for own, label in zip(x, LABELS, strict=True):
        distance = ((own - x) ** 2).sum(1).clamp_min(1e-12).sqrt()
        gap = distance[label == LABELS].max() - distance[label != LABELS].min()
        rows.append(torch.log1p(gap.exp()) if margin is None else (gap + margin).clamp_min(0))
    return torch.stack(rows).mean()


def compare(name: str, ours: torch.Tensor, formula: torch.Tensor, rounding: float = 1e-9) -> None:
    near = torch.allclose(ours.double(), formula, rtol=rounding, atol=rounding)
    assert near, f"{name} differs by {(ours - formula).abs().max():.3g}"


def compare_losses(
    losses: IdentityLosses, ours: Sequence[torch.Tensor], formula: torch.Tensor, weight: nn.Parameter, name: str
) -> None:
    loss = losses(list(ours), LABELS)["loss"]
    single = 1e-5  # triplets are computed in single precision
    compare(f"{name}: loss", loss, formula, single)
    (mine,) = torch.autograd.grad(loss, weight, retain_graph=True)
    (theirs,) = torch.autograd.grad(formula, weight)
    assert theirs.norm() > 1e-3
    compare(f"{name}: gradient norm of the first layer", mine.norm(), theirs.norm(), single)


def test_mgn() -> None:
    """Eight vectors by averages over rows, mean of eight cross-entropies + 2 x mean of three triplets, margin 1.2."""
    params = MgnParams(dim=6)
    embedder = by_formula(MgnEmbedder(tiny(), Preprocess((96, 32)), dim=6, pool=params.pool).double().train())
    losses = by_formula(MgnLosses(params, 4).double())
    assert isinstance(embedder, MgnEmbedder)
    assert isinstance(losses, MgnLosses)
    common = embedder.shared(images())
    one, two, three = (branch(common) for branch in embedder.branches)
    assert one.shape[2:] == (6, 2)
    assert two.shape[2:] == three.shape[2:] == (12, 4)
    rows = [one, two, three, two[:, :, :6], two[:, :, 6:], three[:, :, :4], three[:, :, 4:8], three[:, :, 8:]]
    vectors = []
    for maps, reduction in zip(rows, embedder.reductions, strict=True):
        pooled = maps.sum((2, 3)) / (maps.shape[2] * maps.shape[3])
        weight = reduction.convolution.weight.flatten(1)
        vectors.append(normed(pooled @ weight.T, reduction.norm).clamp_min(0))
    ours = embedder.vectors(images())
    for number, (mine, formula) in enumerate(zip(ours, vectors, strict=True)):
        compare(f"mgn: vector {number}", mine, formula)
    ids = [cross_entropy(vector, head, 0.0) for vector, head in zip(vectors, losses.classifiers, strict=True)]
    loss = sum(ids) / 8 + 2 * sum(triplet(vector, 1.2) for vector in vectors[:3]) / 3
    compare_losses(losses, ours, torch.as_tensor(loss), next(iter(embedder.shared.parameters())), "mgn")


def test_mgn_as_its_paper_has_it() -> None:
    """Maxima; classifiers without bias read the global vectors of 28 numbers, triplets their reduced ones."""
    params = MgnParams(dim=6, pool="max", classify="pooled", triplet_weight=1.0)
    embedder = by_formula(MgnEmbedder(tiny(), Preprocess((96, 32)), dim=6, pool=params.pool).double().train())
    losses = by_formula(MgnLosses(params, 4, 28).double())
    assert isinstance(embedder, MgnEmbedder)
    assert isinstance(losses, MgnLosses)
    assert [(head.in_features, head.bias) for head in losses.classifiers] == [(28, None)] * 3 + [(6, None)] * 5
    one, two, three = embedder.maps(images())
    rows = [one, two, three, two[:, :, :6], two[:, :, 6:], three[:, :, :4], three[:, :, 4:8], three[:, :, 8:]]
    pooled = [maps.flatten(2).max(2).values for maps in rows]
    vectors = [
        normed(maxima @ reduction.convolution.weight.flatten(1).T, reduction.norm).clamp_min(0)
        for maxima, reduction in zip(pooled, embedder.reductions, strict=True)
    ]
    read = [*pooled[:3], *vectors[3:]]
    ids = [cross_entropy(vector, head, 0.0) for vector, head in zip(read, losses.classifiers, strict=True)]
    loss = torch.as_tensor(sum(ids) / 8 + sum(triplet(vector, 1.2) for vector in vectors[:3]) / 3)
    ours = _seen(params, embedder, images())
    compare_losses(losses, ours, loss, next(iter(embedder.shared.parameters())), "mgn of the paper")


def test_bdb() -> None:
    """Global average, and maxima over the remaining rows; the sum of two cross-entropies and two triplets."""
    params = BdbParams(global_dim=6, drop_dim=10)
    built = BdbEmbedder(tiny(), Preprocess((96, 32)), 6, 10, params.drop_height, params.drop_width)
    embedder, losses = by_formula(built.double().train()), by_formula(BdbLosses(params, 4).double())
    assert isinstance(embedder, BdbEmbedder)
    assert isinstance(losses, BdbLosses)
    embedder.drop.generator = torch.Generator().manual_seed(3)
    top = int(torch.randint(12 - 4 + 1, (), generator=torch.Generator().manual_seed(3)))  # 4 = round(.33 x 12) rows
    maps = embedder.backbone(images()).map
    reduction, (linear, norm, _) = embedder.reduction, embedder.dropped
    pooled = maps.sum((2, 3)) / 48
    weight, bias = reduction.convolution.weight.flatten(1), reduction.convolution.bias
    assert bias is not None
    whole = normed(pooled @ weight.T + bias, reduction.norm).clamp_min(0)
    left = embedder.bottleneck(maps) * torch.tensor([not top <= row < top + 4 for row in range(12)])[:, None]
    part = normed(left.amax((2, 3)) @ linear.weight.T + linear.bias, norm).clamp_min(0)
    ours = embedder.branches(images())
    compare("bdb: global vector", ours[0], whole)
    compare("bdb: vector with the dropped block", ours[1], part)
    loss = torch.zeros((), dtype=torch.float64)
    for vector, head in zip((whole, part), losses.classifiers, strict=True):
        loss = loss + cross_entropy(vector, head, 0.1) + triplet(vector, None)
    compare_losses(losses, ours, loss, next(iter(embedder.backbone.parameters())), "bdb")
