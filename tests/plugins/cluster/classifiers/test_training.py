"""Rounds of strong-baseline with a source, compared with an independent loop."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench import AdaptContext
from reidbench.data import read_market_folder
from reidbench.metrics import pseudo_labels
from reidbench.testing import write_market_folder
from reidbench.training import BackboneEmbedder, Preprocess, embed
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_cluster.classifiers import strong_baseline
from reidbench_cluster.classifiers.params import StrongBaselineParams
from reidbench_cluster.domain_norm import keep_target_norms, split_norms
from reidbench_cluster.domains import DomainBatches
from tests.support.contexts import make_context

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
RATE = 1e-3
GIVEN: Any = {
    "rounds": 2, "iterations": 2, "identities": 3, "images": 2, "clustering": "k-means", "clusters": 3, "lr": RATE,
}  # fmt: skip


def triplet(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log of the softmax of the two distances of each anchor, whose two images pass no gradient."""
    same = labels[:, None] == labels
    distances = (vectors[:, None] - vectors.detach()[None]).pow(2).sum(2).clamp_min(1e-12).sqrt()
    positive = torch.where(same, distances, -1.0).amax(1)
    negative = torch.where(same, 1e9, distances).amin(1)
    return -torch.stack([positive, negative], 1).log_softmax(1)[:, 1].mean()


def by_hand(ctx: Any, embedder: BackboneEmbedder) -> tuple[BackboneEmbedder, list[float]]:
    """Two rounds: the source's classifier stays, that of the clusters and Adam start again."""
    split_norms(embedder)
    generator = torch.Generator().manual_seed(ctx.seed)
    classes = ctx.source.num_pids
    own = nn.Linear(embedder.backbone.dim, classes, bias=False)
    nn.init.normal_(own.weight, std=0.001, generator=generator)
    of_source = {pid: number for number, pid in enumerate(sorted(set(ctx.source.pids.tolist())))}
    losses = []
    for _ in range(2):
        features = embed(embedder, ctx.target, ctx.target.camids)
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
        labels = pseudo_labels.k_means(features, 3, ctx.seed)
        means = np.stack([features[labels == c].mean(0) for c in range(labels.max() + 1)])
        centres = nn.Parameter(F.normalize(torch.from_numpy(means), dim=1))
        trained = [w for w in (*embedder.parameters(), own.weight, centres) if w.requires_grad]
        optimiser = torch.optim.Adam(trained, lr=RATE, weight_decay=5e-4)
        embedder.train()
        steps = []
        for step in DomainBatches(ctx, embedder.preprocess, ctx.source).steps(labels, generator):
            identities = [of_source[pid] for pid in ctx.source.pids[step.source].tolist()]
            wanted = torch.tensor([*identities, *(classes + label for label in labels[step.target].tolist())])
            vectors = embedder.before_neck(step.views[0])
            logits = embedder.neck(vectors) @ torch.cat([own.weight, centres]).t()
            loss = F.cross_entropy(logits, wanted, label_smoothing=0.1) + triplet(vectors, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            steps.append(loss.item())
        losses.append(float(np.mean(steps)))
    keep_target_norms(embedder)
    return embedder, losses


def test_rounds_on_both_domains(tmp_path: Path) -> None:
    """Losses of both rounds, which depend on all that a round starts from, and the network after them."""
    source, target = (
        read_market_folder(
            write_market_folder(tmp_path / str(seed), identities=6, cameras=2, images=3, seed=seed)
        ).train
        for seed in (0, 1)
    )
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {}
    start = BackboneEmbedder(network, Preprocess(SIZE), neck=True)
    ctx, lines = make_context(
        AdaptContext, tmp_path, StrongBaselineParams(**GIVEN), target=target.hide(), source=source,
        backbone=lambda: None, start=start,
    )  # fmt: skip
    wanted, losses = by_hand(ctx, copy.deepcopy(start))
    found = strong_baseline.adapt(ctx)
    assert [line["loss"] for line in lines] == [pytest.approx(loss, rel=1e-3) for loss in losses]
    theirs, ours = wanted.state_dict(), found.state_dict()
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        assert torch.allclose(ours[name].float(), value.float(), atol=2e-3), name
