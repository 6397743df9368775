"""Cluster Contrast (Dai et al., ACCV 2022), also as used by TransReID-SSL."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from reidbench import AdaptContext
from reidbench.metrics import pseudo_labels
from reidbench.training import BackboneEmbedder, Means, Update

from .loop import PseudoLabelBatches, make_optimiser, starting_embedder, target_features, train_rounds
from .memory import ClusterMemory
from .params import ClusterContrastParams


def adapt(ctx: AdaptContext[ClusterContrastParams]) -> BackboneEmbedder:
    """Contrast target images with a memory of their clusters, rebuilt in each round.

    Unsupervised if the recipe starts from a backbone, adaptation if it starts from a fine-tuned embedder; source
    images are not used. The feature, for clustering and for the test, is the one after the neck.
    """
    params = ctx.params
    embedder: BackboneEmbedder = ctx.fabric.to_device(starting_embedder(ctx, params.pool, keep_neck=params.keep_neck))
    optimiser = make_optimiser(embedder, params, params.optimiser)
    generator = torch.Generator().manual_seed(ctx.seed)
    batches = PseudoLabelBatches(ctx.target, embedder.preprocess, params, ctx.workers, ctx.fabric.device)
    state = {"embedder": embedder, "optimiser": optimiser, "generator": generator}
    update = Update(ctx.fabric, optimiser)
    features = np.empty((0, 0), np.float32)  # of the current round

    def cluster() -> np.ndarray:
        nonlocal features
        features = target_features(embedder, ctx.target, ctx)
        return pseudo_labels.cluster(features, params.eps, params.min_samples, params.k1, params.k2)

    def train(labels: np.ndarray) -> float:
        memory = ClusterMemory(
            torch.from_numpy(features),
            torch.from_numpy(labels),
            temperature=params.temperature,
            momentum=params.momentum,
            update=params.update,
        )
        targets = ctx.fabric.to_device(torch.from_numpy(labels))
        ctx.fabric.to_device(memory)
        embedder.train()
        means = Means()
        for images, indices in batches.batches(labels, generator):
            with update.precision():
                found = embedder(ctx.fabric.to_device(images))
            loss = memory(F.normalize(found.float(), dim=1), targets[indices])
            means.add({"loss": update(loss)})
        return means.values()["loss"]

    train_rounds(ctx, state, cluster, train)
    return embedder
