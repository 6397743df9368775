"""Cluster Contrast (Dai et al., ACCV 2022), as TransReID-SSL uses it too."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from reidbench import AdaptContext
from reidbench.metrics import pseudo_labels
from reidbench.training import BackboneEmbedder, Update

from .loop import (
    PseudoLabelBatches,
    describe,
    make_optimiser,
    set_rate,
    skip,
    starting_embedder,
    target_features,
    too_few,
)
from .memory import ClusterMemory
from .params import ClusterContrastParams


def adapt(ctx: AdaptContext[ClusterContrastParams]) -> BackboneEmbedder:
    """Contrast images of the target with a memory of its clusters, rebuilt in each round.

    Unsupervised when the recipe starts from a backbone, adaptation when it starts from a fine-tuned embedder; source
    images are not used. The feature, for clustering and for the test, is the one after the neck.
    """
    params: ClusterContrastParams = ctx.params
    embedder = starting_embedder(ctx, params.keep_neck).to(ctx.device)
    optimiser = make_optimiser(embedder, params)
    generator = torch.Generator().manual_seed(ctx.seed)
    batches = PseudoLabelBatches(ctx.target, embedder.preprocess, params, ctx.workers)
    state = {"embedder": embedder, "optimiser": optimiser, "generator": generator}
    for round_ in ctx.checkpoint.epochs(params.rounds, **state):
        set_rate(optimiser, params, round_)
        features = target_features(embedder, ctx.target, ctx)
        labels = pseudo_labels.cluster(features, params.eps, params.min_samples, params.k1, params.k2)
        ctx.record_clusters(round_, labels)
        if too_few(labels):
            skip(ctx, labels, round_)
        else:
            loss = _train(embedder, optimiser, batches, features, labels, generator, ctx)
            ctx.log({"round": round_, "loss": loss, **describe(labels)})
    return embedder


def _train(
    embedder: BackboneEmbedder,
    optimiser: torch.optim.Optimizer,
    batches: PseudoLabelBatches,
    features: np.ndarray,
    labels: np.ndarray,
    generator: torch.Generator,
    ctx: AdaptContext[ClusterContrastParams],
) -> float:
    params: ClusterContrastParams = ctx.params
    targets = torch.from_numpy(labels)
    memory = ClusterMemory(
        torch.from_numpy(features),
        targets,
        temperature=params.temperature,
        momentum=params.momentum,
        update=params.update,
    ).to(ctx.device)
    embedder.train()
    update = Update(ctx.fabric, optimiser)
    total = 0.0
    for images, indices in batches.batches(labels, generator):
        with update.precision():
            found = embedder(images.to(ctx.device))
        total += update(memory(F.normalize(found.float(), dim=1), targets[indices].to(ctx.device)))
    return total / params.iterations
