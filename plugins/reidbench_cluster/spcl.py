"""Self-paced contrastive learning with a hybrid memory (SpCL, Ge et al., NeurIPS 2020)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from reidbench import AdaptContext
from reidbench.metrics import pseudo_labels
from reidbench.training import BackboneEmbedder, Means, Update

from .domain_norm import keep_target_norms, split_norms
from .domains import DomainBatches
from .loop import make_optimiser, starting_embedder, target_features, train_rounds
from .memory import HybridMemory, class_means
from .params import SpCLParams
from .reliability import reliable_labels, singled

LARGEST_RADIUS = 0.999  # pairs without a common neighbour have distance 1 and must not become edges


class _Threshold(nn.Module):
    """Independence threshold, set in the first round and stored in the checkpoint."""

    value: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(float("nan"), dtype=torch.float64))

    def get(self) -> float | None:
        number = float(self.value)
        return None if np.isnan(number) else number


class _Training:
    """State of one run: target only, or target and source with domain-specific batch norm."""

    def __init__(self, ctx: AdaptContext[SpCLParams]) -> None:
        self.ctx = ctx
        self.params = ctx.params
        self.embedder: BackboneEmbedder = ctx.fabric.to_device(starting_embedder(ctx, self.params.pool))
        self.source = ctx.source if self.params.use_source else None
        self.generator = torch.Generator().manual_seed(ctx.seed)
        self.domains = DomainBatches(ctx, self.embedder.preprocess, self.source)
        rows = [torch.from_numpy(target_features(self.embedder, ctx.target, ctx))]
        if self.source is not None:
            features = torch.from_numpy(target_features(self.embedder, self.source, ctx))
            rows.insert(0, class_means(features, torch.from_numpy(self.domains.source_labels)))
            split_norms(self.embedder)
        self.classes = self.domains.classes
        memory = HybridMemory(torch.cat(rows), temperature=self.params.temperature, momentum=self.params.momentum)
        self.memory: HybridMemory = ctx.fabric.to_device(memory)
        self.threshold = _Threshold()
        self.optimiser = make_optimiser(self.embedder, self.params)
        self.update = Update(ctx.fabric, self.optimiser)

    def cluster(self) -> np.ndarray:
        """Cluster the target's memory rows; reliable clusters keep their label, all other images are -1."""
        params = self.params
        rows = self.memory.rows[self.classes :].cpu().numpy()
        eps = [params.eps, min(params.eps + params.eps_gap, LARGEST_RADIUS), params.eps - params.eps_gap]
        graph = pseudo_labels.jaccard_graph(rows, params.k1, params.k2, max(eps))
        labels, looser, tighter = (pseudo_labels.dbscan(graph, e, params.min_samples) for e in eps)
        labels, threshold = reliable_labels(labels, looser, tighter, self.threshold.get(), params.quantile)
        self.threshold.value.fill_(threshold)
        return labels

    def train(self, labels: np.ndarray) -> float:
        """Train one round: every target image is an instance of its class, an un-clustered one a separate class."""
        classes = singled(labels)
        places = np.concatenate([np.arange(self.classes), self.classes + classes])
        # Reliability may leave gaps in the labels; the memory needs classes 0, 1, ...
        self.memory.labels.copy_(torch.from_numpy(np.unique(places, return_inverse=True)[1]))
        self.embedder.train()
        means = Means()
        for step in self.domains.steps(classes, self.generator):
            rows = np.concatenate([self.domains.source_labels[step.source], self.classes + step.target])
            with self.update.precision():
                found = self.embedder(self.ctx.fabric.to_device(step.views[0]))
            features = F.normalize(found.float(), dim=1)
            loss = self.memory(features, self.ctx.fabric.to_device(torch.as_tensor(rows)))
            if self.source is not None:  # two means over halves, as in the paper, not one over all
                loss = 2 * loss
            means.add({"loss": self.update(loss)})
        return means.values()["loss"]


def adapt(ctx: AdaptContext[SpCLParams]) -> BackboneEmbedder:
    """Train on target and source (UDA), or on the target alone (USL) if the task names no source."""
    run = _Training(ctx)
    state = {
        "embedder": run.embedder,
        "memory": run.memory,
        "threshold": run.threshold,
        "optimiser": run.optimiser,
        "generator": run.generator,
    }
    train_rounds(ctx, state, run.cluster, run.train, lambda labels: len(np.unique(singled(labels))) < 2)
    keep_target_norms(run.embedder)
    return run.embedder
