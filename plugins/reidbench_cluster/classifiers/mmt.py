"""Mutual mean-teaching (MMT, Ge et al., ICLR 2020): two networks, each taught by the temporal average of the other."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from reidbench import AdaptContext
from reidbench.errors import ReidbenchError
from reidbench.training import BackboneEmbedder

from ..domain_norm import keep_target_norms
from ..loop import starting_embedder
from .losses import Output, mutual_loss
from .networks import MeanNetwork
from .params import MMTParams
from .training import ClusterTraining, Heads


class _Training(ClusterTraining):
    """Two networks with a view each, and their averages, whose mean feature is clustered."""

    views = 2

    def __init__(self, ctx: AdaptContext[MMTParams], starts: Sequence[BackboneEmbedder]) -> None:
        super().__init__(ctx, starts)
        self.shares = {"soft_ce": ctx.params.soft_ce, "soft_triplet_share": ctx.params.soft_triplet}
        self.means = [MeanNetwork(student, ctx.params.momentum, ramp=ctx.params.ramp) for student in self.students]
        self.averages: nn.ModuleList = ctx.fabric.to_device(nn.ModuleList(self.means))
        self.heads: list[nn.Linear] = []  # of the averages, in the current round

    def clustered(self) -> Sequence[BackboneEmbedder]:
        return [mean.network.embedder for mean in self.means]

    def start_round(self, heads: Heads) -> None:
        """Start the averages' classifiers at the centres too."""
        self.heads = [copy.deepcopy(head).requires_grad_(False) for head in heads]
        self.averages.train()

    @torch.no_grad()
    def references(self, views: Sequence[torch.Tensor]) -> list[Output]:
        """Return the outputs of the averages, each for the view of its network."""
        return [mean.network(images, head) for mean, images, head in zip(self.means, views, self.heads, strict=True)]

    def loss(self, outputs: Sequence[Output], references: Sequence[Output], labels: torch.Tensor) -> torch.Tensor:
        """Return the mutual loss of both networks."""
        return mutual_loss(self.hard, outputs, references, labels, **self.shares)

    def after_step(self, heads: Heads) -> None:
        """Move the averages."""
        for mean, student, head, own in zip(self.means, self.students, heads, self.heads, strict=True):
            mean.follow(student, head, own)


def adapt(ctx: AdaptContext[MMTParams]) -> BackboneEmbedder:
    """Train two networks on the clusters of their averages' mean feature; the result is the average of the first.

    The first starts from the recipe's embedder or backbone; the second from the `peer`, or else from the same weights.
    Raises ReidbenchError for a peer that cannot be one.
    """
    first = starting_embedder(ctx, ctx.params.pool)
    second = copy.deepcopy(first) if ctx.params.peer is None else _peer(ctx, first)
    training = _Training(ctx, [first, second])
    training.run(averages=training.averages)
    kept = training.means[0].network.embedder
    keep_target_norms(kept)
    return kept


def _peer(ctx: AdaptContext[MMTParams], first: BackboneEmbedder) -> BackboneEmbedder:
    """Return the start of the second network, after checking that it is another training of a similar network."""
    peer = ctx.network("peer")
    if not isinstance(peer, BackboneEmbedder) or peer.backbone.dim != first.backbone.dim:
        raise ReidbenchError(
            f"mmt: the peer must train a plain embedder with {first.backbone.dim} features, as the start has: "
            "give both the same fine-tuner and backbone"
        )
    theirs, own = peer.backbone.state_dict(), first.backbone.state_dict()
    if theirs.keys() == own.keys() and all(torch.equal(theirs[name].cpu(), own[name].cpu()) for name in own):
        raise ReidbenchError(
            "mmt: the peer is the same training as the start: set `prepare_seed`, the seed of the peer, to a number "
            "that is not among `seeds`"
        )
    return starting_embedder(ctx, ctx.params.pool, start=peer)
