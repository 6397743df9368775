"""Batch norm of two domains: separate statistics, statistics of the target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from reidbench.data import read_market_folder
from reidbench.training import BackboneEmbedder, Preprocess
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_cluster import adabn, domain_norm
from reidbench_cluster.params import AdaBNParams


def test_halves_are_normalised_apart_and_evaluation_uses_the_target() -> None:
    """Evaluation uses the target's batch norm."""
    network = nn.Sequential(nn.BatchNorm1d(3))
    domain_norm.split_norms(network)
    batch = torch.cat([torch.randn(32, 3) + 10, torch.randn(32, 3) - 5])
    out = network(batch)
    assert out[:32].mean(0).abs().max() < 1e-5
    assert out[32:].mean(0).abs().max() < 1e-5
    pair = network[0]
    assert pair.source.running_mean.mean() > 0 > pair.target.running_mean.mean()
    network.eval()
    assert torch.equal(network(batch), pair.target(batch))
    domain_norm.keep_target_norms(network)
    assert isinstance(network[0], nn.BatchNorm1d)
    assert network[0].running_mean is not None
    assert network[0].running_mean.mean() < 0


def tiny_embedder(width: int = 4) -> BackboneEmbedder:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=width), (32, 16))
    network.spec = {}
    return BackboneEmbedder(network, Preprocess((32, 16)), neck=True)


def test_adabn_changes_statistics_and_no_weight(market: Path) -> None:
    embedder = tiny_embedder()
    split = read_market_folder(market).train.hide()
    before = {name: tensor.clone() for name, tensor in embedder.state_dict().items()}
    adabn.estimate(embedder, split, AdaBNParams(batch=16), torch.Generator().manual_seed(0))
    after = embedder.state_dict()
    assert all(torch.equal(after[name], before[name]) for name, _ in embedder.named_parameters())
    pixels = torch.from_numpy(np.stack([split.image(index) for index in range(16)]))
    with torch.no_grad():
        stem = embedder.backbone.stem[0](embedder.preprocess.normalise(pixels))  # type: ignore[index]
    # one batch of all 16 images: the first norm's statistics are those of the whole target
    assert torch.allclose(after["backbone.stem.1.running_mean"], stem.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(after["backbone.stem.1.running_var"], stem.var((0, 2, 3)), rtol=1e-3)
    assert not embedder.training
    assert embedder.neck.norm.momentum == 0.1  # type: ignore[union-attr]
