"""OpenUnReID's strong baseline: one network with a classifier of clusters, and the softmax triplet loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from reidbench import AdaptContext
from reidbench.training import BackboneEmbedder

from ..domain_norm import keep_target_norms
from ..loop import starting_embedder
from .losses import Output
from .params import StrongBaselineParams
from .training import ClusterTraining


class _Training(ClusterTraining):
    """One network, clustered by its own features."""

    def clustered(self) -> Sequence[BackboneEmbedder]:
        return [student.embedder for student in self.students]

    def loss(self, outputs: Sequence[Output], references: Sequence[Output], labels: torch.Tensor) -> torch.Tensor:
        """Return the sum of the cross-entropy and the triplet loss."""
        (output,) = outputs
        entropy, triplet = self.hard(output, labels)
        return entropy + triplet


def adapt(ctx: AdaptContext[StrongBaselineParams]) -> BackboneEmbedder:
    """Train on the target's clusters, and with `use_source` on the identities of the task's source in the same batches.

    Unsupervised if the recipe starts from a backbone and the task names no source.
    """
    embedder = starting_embedder(ctx, ctx.params.pool)
    _Training(ctx, [embedder]).run()
    keep_target_norms(embedder)
    return embedder
