"""Rounds that train networks to classify the target's clusters, and with a source its identities too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from reidbench import AdaptContext
from reidbench.metrics import pseudo_labels
from reidbench.metrics.products import unit
from reidbench.training import BackboneEmbedder, Embedder, Means, Update

from ..domain_norm import split_norms
from ..domains import DomainBatches
from ..loop import make_optimiser, target_features, train_rounds
from .losses import HardLosses, Output
from .networks import Classified, cluster_head
from .params import ClassifierParams

Heads = Sequence[nn.Linear]


class ClusterTraining:
    """The state of a run. Each round clusters features, starts the classifier at the centres, and resets Adam.

    A subclass names the embedders to cluster by, and computes the losses of a step.
    """

    views = 1

    def __init__(self, ctx: AdaptContext[Any], starts: Sequence[BackboneEmbedder]) -> None:
        self.ctx = ctx
        self.params: ClassifierParams = ctx.params
        self.generator = torch.Generator().manual_seed(ctx.seed)
        source = ctx.source if self.params.use_source else None
        self.domains = DomainBatches(ctx, starts[0].preprocess, source)
        if source is not None:
            for start in starts:
                split_norms(start)
        self.students = [Classified(start, self.domains.classes, self.generator) for start in starts]
        self.networks: nn.ModuleList = ctx.fabric.to_device(nn.ModuleList(self.students))
        self.optimiser = make_optimiser(self.networks, self.params)
        self.hard = HardLosses(self.params.label_smoothing, anchor_only=self.params.anchor_only)
        self.features = np.empty((0, 0), np.float32)  # of the current round

    # ---------------------------------------------------------------- of the method
    def clustered(self) -> Sequence[Embedder]:
        """Return the embedders whose mean unit feature is clustered."""
        raise NotImplementedError

    def start_round(self, heads: Heads) -> None:
        """Prepare a round in which the networks have these classifiers of clusters."""

    def references(self, views: Sequence[torch.Tensor]) -> list[Output]:
        """Return outputs that the loss compares with those of the networks, computed in the stage's precision."""
        return []

    def loss(self, outputs: Sequence[Output], references: Sequence[Output], labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of a step, a scalar, with labels [B] of the source's identities and then the clusters."""
        raise NotImplementedError

    def after_step(self, heads: Heads) -> None:
        """Update what follows the networks."""

    # ---------------------------------------------------------------- rounds
    def run(self, **state: Any) -> None:
        """Train all rounds; `state` is saved in addition to the networks, the optimiser and the generator."""
        state |= {"networks": self.networks, "optimiser": self.optimiser, "generator": self.generator}
        train_rounds(self.ctx, state, self.cluster, self.train)

    def cluster(self) -> np.ndarray:
        """Return the cluster [N] of each target image, -1 for outliers."""
        found = [target_features(embedder, self.ctx.target, self.ctx) for embedder in self.clustered()]
        self.features = found[0] if len(found) == 1 else unit(np.mean(found, axis=0))
        params = self.params
        if params.clustering == "k-means":
            return pseudo_labels.k_means(self.features, params.clusters, self.ctx.seed)
        return pseudo_labels.cluster(self.features, params.eps, params.min_samples, params.k1, params.k2)

    def train(self, labels: np.ndarray) -> float:
        """Train one round and return its mean loss."""
        to_device = self.ctx.fabric.to_device
        heads = [to_device(cluster_head(self.features, labels)) for _ in self.students]
        self.optimiser.state.clear()
        of_heads = torch.optim.Adam(
            [head.weight for head in heads],
            lr=self.optimiser.param_groups[0]["lr"],
            weight_decay=self.params.weight_decay,
        )
        update = Update(self.ctx.fabric, self.optimiser, of_heads)
        self.networks.train()
        self.start_round(heads)
        means = Means()
        for step in self.domains.steps(labels, self.generator, self.views):
            own = self.domains.source_labels[step.source]
            classes = torch.from_numpy(np.concatenate([own, self.domains.classes + labels[step.target]]))
            views = [to_device(images) for images in step.views]
            with update.precision():
                outputs = [run(images, head) for run, images, head in zip(self.students, views, heads, strict=True)]
                references = self.references(views)
            means.add({"loss": update(self.loss(outputs, references, to_device(classes)))})
            self.after_step(heads)
        return means.values()["loss"]
