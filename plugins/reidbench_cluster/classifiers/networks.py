"""A network that classifies clusters, and its temporal average."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from reidbench.training import BackboneEmbedder, identity_heads

from ..memory import class_means
from .losses import Output


class Classified(nn.Module):
    """An embedder, and a classifier of the source's identities, if any; clusters have a new classifier each round."""

    def __init__(self, embedder: BackboneEmbedder, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        dims = [embedder.backbone.dim] if classes else []
        self.embedder = embedder
        self.source = nn.ModuleList(identity_heads(dims, classes, generator=generator))

    def forward(self, images: torch.Tensor, clusters: nn.Module) -> Output:
        """Map images [B, 3, H, W] to vectors, and logits of the source's identities and then the clusters."""
        vectors = self.embedder.before_neck(images)
        after = self.embedder.neck(vectors)
        logits = torch.cat([head(after) for head in (*self.source, clusters)], dim=1)
        return Output(vectors.float(), logits.float())


def cluster_head(features: np.ndarray, labels: np.ndarray) -> nn.Linear:
    """Return a classifier whose weights are the normalised mean features of the clusters, without bias.

    `features` [N, D] and labels [N] of clusters 0, 1, ..., and -1 for images that are left out.
    """
    inside = labels >= 0
    centres = class_means(torch.from_numpy(features[inside]), torch.from_numpy(labels[inside]))
    head = nn.Linear(centres.shape[1], len(centres), bias=False)
    with torch.no_grad():
        head.weight.copy_(centres)
    return head


class MeanNetwork(nn.Module):
    """Temporal average of a network's weights: E <- a E + (1 - a) theta after each step (Ge et al., ICLR 2020).

    a is `momentum`, or with `ramp` the smaller of it and 1 - 1 / t in step t from 1, so that the first t averages are
    plain means. Parameters alone are averaged: batch norm, in training mode, keeps own running statistics.
    """

    steps: torch.Tensor

    def __init__(self, network: Classified, momentum: float, *, ramp: bool) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.momentum, self.ramp = momentum, ramp
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def follow(self, network: Classified, head: nn.Module, own_head: nn.Module) -> None:
        """Move the average, and that of the clusters' classifier `own_head`, towards `network` and `head`."""
        self.steps += 1
        momentum = min(1 - 1 / int(self.steps), self.momentum) if self.ramp else self.momentum
        averages: list[torch.Tensor] = [*self.network.parameters(), *own_head.parameters()]
        current: list[torch.Tensor] = [*network.parameters(), *head.parameters()]
        torch._foreach_lerp_(averages, current, 1 - momentum)
