"""The plain loop: cluster the target, take clusters for identities, fine-tune, repeat."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from reidbench import AdaptContext
from reidbench.metrics import pseudo_labels
from reidbench.training import BackboneEmbedder, BatchHardTriplet, LabelSmoothingCrossEntropy, Update

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
from .params import PseudoLabelParams


def make_labels(features: np.ndarray, params: PseudoLabelParams, seed: int) -> np.ndarray:
    """[N] cluster of each feature [N, D], -1 for outliers, by the chosen clustering."""
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
    """Fine-tune on the target's clusters with label-smoothed cross-entropy and the batch-hard triplet."""
    params: PseudoLabelParams = ctx.params
    embedder = starting_embedder(ctx).to(ctx.device)
    optimiser = make_optimiser(embedder, params)
    generator = torch.Generator().manual_seed(ctx.seed)
    batches = PseudoLabelBatches(ctx.target, embedder.preprocess, params, ctx.workers)
    state = {"embedder": embedder, "optimiser": optimiser, "generator": generator}
    for round_ in ctx.checkpoint.epochs(params.rounds, **state):
        set_rate(optimiser, params, round_)
        labels = make_labels(target_features(embedder, ctx.target, ctx), params, ctx.seed)
        ctx.record_clusters(round_, labels)
        if too_few(labels):
            skip(ctx, labels, round_)
        else:
            loss = _train(embedder, optimiser, batches, labels, generator, ctx)
            ctx.log({"round": round_, "loss": loss, **describe(labels)})
    return embedder


def _train(
    embedder: BackboneEmbedder,
    optimiser: torch.optim.Optimizer,
    batches: PseudoLabelBatches,
    labels: np.ndarray,
    generator: torch.Generator,
    ctx: AdaptContext[PseudoLabelParams],
) -> float:
    """One round; its classifier is drawn from N(0, 0.001), since clusters have new numbers in each round."""
    params: PseudoLabelParams = ctx.params
    embedder.train()
    classes = int(labels.max()) + 1
    classifier = nn.Linear(embedder.backbone.dim, classes, bias=False)
    nn.init.normal_(classifier.weight, std=0.001, generator=generator)
    classifier.to(ctx.device)
    heads = torch.optim.Adam(classifier.parameters(), lr=params.lr, weight_decay=params.weight_decay)
    cross_entropy = LabelSmoothingCrossEntropy(params.label_smoothing)
    triplet = BatchHardTriplet(params.margin)
    targets = torch.from_numpy(labels)
    update = Update(ctx.fabric, optimiser, heads)
    total = 0.0
    for images, indices in batches.batches(labels, generator):
        wanted = targets[indices].to(ctx.device)
        with update.precision():
            before = embedder.backbone(images.to(ctx.device)).vector
        before = before.float()
        loss = cross_entropy(classifier(embedder.neck(before)), wanted) + triplet(before, wanted)
        total += update(loss)
    return total / params.iterations
