"""The basic loop: cluster the target, use clusters as identities, fine-tune, repeat."""

from __future__ import annotations

import numpy as np
import torch

from reidbench import AdaptContext
from reidbench.metrics import pseudo_labels
from reidbench.training import (
    BackboneEmbedder,
    BatchHardTriplet,
    LabelSmoothingCrossEntropy,
    Means,
    Update,
    identity_heads,
)

from .loop import PseudoLabelBatches, make_optimiser, starting_embedder, target_features, train_rounds
from .params import PseudoLabelParams


def make_labels(features: np.ndarray, params: PseudoLabelParams, seed: int) -> np.ndarray:
    """Return the cluster [N] of each feature [N, D], -1 for outliers, by the chosen clustering."""
    if params.clustering == "agglomerative":
        return pseudo_labels.agglomerative(features, params.threshold)
    if params.clustering == "k-means":
        return pseudo_labels.k_means(features, params.clusters, seed)
    if params.clustering == "circular":
        return pseudo_labels.circular_search(
            features, params.threshold, params.chains, params.mutual, params.self_match, params.ties
        )
    return pseudo_labels.cluster(features, params.eps, params.min_samples, params.k1, params.k2)


def adapt(ctx: AdaptContext[PseudoLabelParams]) -> BackboneEmbedder:
    """Fine-tune on the target's clusters with label-smoothed cross-entropy and the batch-hard triplet loss."""
    params = ctx.params
    embedder: BackboneEmbedder = ctx.fabric.to_device(starting_embedder(ctx, params.pool))
    optimiser = make_optimiser(embedder, params)
    generator = torch.Generator().manual_seed(ctx.seed)
    batches = PseudoLabelBatches(ctx.target, embedder.preprocess, params, ctx.workers, ctx.fabric.device)
    state = {"embedder": embedder, "optimiser": optimiser, "generator": generator}

    def train(labels: np.ndarray) -> float:
        """Train one round; its classifier is drawn from N(0, 0.001), since clusters are renumbered in each round."""
        embedder.train()
        classes = int(labels.max()) + 1
        (classifier,) = identity_heads([embedder.backbone.dim], classes, generator=generator)
        ctx.fabric.to_device(classifier)
        heads = torch.optim.Adam(classifier.parameters(), lr=params.lr, weight_decay=params.weight_decay)
        cross_entropy = LabelSmoothingCrossEntropy(params.label_smoothing)
        triplet = BatchHardTriplet(params.margin)
        targets = ctx.fabric.to_device(torch.from_numpy(labels))
        update = Update(ctx.fabric, optimiser, heads)
        means = Means()
        for images, indices in batches.batches(labels, generator):
            wanted = targets[indices]
            with update.precision():
                before = embedder.before_neck(ctx.fabric.to_device(images))
            before = before.float()
            loss = cross_entropy(classifier(embedder.neck(before)), wanted) + triplet(before, wanted)
            means.add({"loss": update(loss)})
        return means.values()["loss"]

    def cluster() -> np.ndarray:
        return make_labels(target_features(embedder, ctx.target, ctx), params, ctx.seed)

    train_rounds(ctx, state, cluster, train)
    return embedder
