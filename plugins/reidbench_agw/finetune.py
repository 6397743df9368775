"""Training of agw (Ye et al., TPAMI 2021), after its official code: Bag of Tricks with another loss and network."""

from __future__ import annotations

import torch

from reidbench import FinetuneContext
from reidbench.training import (
    Batches,
    CenterLoss,
    IdentityLosses,
    IdentitySampler,
    Loop,
    Preprocess,
    epoch_choice,
    fit,
    labelled_source,
    trained,
    warmup_multistep,
)
from reidbench.training.batches.augment import bot_augment
from reidbench.training.networks.splitnorm import join_batch_norm, part_batch_norm
from reidbench.training.optim.losses import triplet_loss

from .network import AgwEmbedder
from .params import AgwParams


class AgwLosses(IdentityLosses):
    """Cross-entropy after the neck; the chosen triplet loss and a centre loss before it."""

    def __init__(self, params: AgwParams, classes: int, dim: int) -> None:
        super().__init__([dim], classes, smoothing=params.label_smoothing, margin=params.margin)
        self.params = params
        self.across = triplet_loss(params.triplet, params.margin)
        self.center = CenterLoss(classes, dim) if params.center_weight > 0 else None

    def forward(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute scalars from features [B, D] before and after the neck and labels [B]; "loss" is the weighted sum."""
        identity = self.cross_entropies(self.logits([after]), labels).sum()
        triplet = self.across(before, labels)
        loss = identity + self.params.triplet_weight * triplet
        if self.center is not None:
            loss = loss + self.params.center_weight * self.center(before, labels)
        return {"loss": loss, "identity": identity, "triplet": triplet}

    def scale_centres(self) -> None:
        """Undo the loss weight in the centres' gradients, so that their learning rate does not depend on it."""
        if self.center is not None:
            self.center.undo_weight(self.params.center_weight)


def finetune(ctx: FinetuneContext[AgwParams]) -> AgwEmbedder:
    """Train on the labelled source and return an embedder with the feature after the BNNeck.

    On several devices P x K is the global batch: each device runs the network, with synchronised batch norm, on its
    share, and all compute neck and losses on the gathered features. Raises DataError when the source has fewer than two
    identities, ReidbenchError when `non_local` does not fit the backbone or P x K is not divisible by the number of
    devices.
    """
    params = ctx.params
    source = labelled_source(ctx, "agw")
    labels = source.labels()
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = AgwEmbedder(backbone, preprocess, params.non_local, params.inner, params.pool)
    losses = AgwLosses(params, source.num_pids, backbone.dim)
    optimisers = _optimisers(embedder, losses)
    schedule = warmup_multistep(
        optimisers["optimiser"],
        params.epochs,
        warmup=params.warmup,
        warmup_factor=params.warmup_factor,
        milestones=params.milestones,
        gamma=params.gamma,
    )
    augment = bot_augment(params.flip, params.pad, params.erase, ctx.image_size[0])
    sampler = IdentitySampler(labels, params.identities, params.images, generator)
    batches = Batches(source, preprocess, sampler, augment, generator, ctx.workers, device=ctx.fabric.device)
    networks = {"embedder": embedder, "losses": losses}
    loop = Loop(ctx, params.epochs, networks, optimisers, schedule, generator=generator)

    def loss(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        (before,) = vectors
        return losses(before, embedder.neck(before), labels)  # type: ignore[no-any-return]

    for part in (embedder.backbone, embedder.attention):
        join_batch_norm(part)
    fit(
        loop,
        batches,
        labels,
        lambda images, _: [embedder.before_neck(images)],
        loss,
        before_step=losses.scale_centres,
        accumulate=params.accumulate,
        choice=epoch_choice(ctx, embedder),
    )
    for part in (embedder.backbone, embedder.attention):
        part_batch_norm(part)
    return embedder


def _optimisers(embedder: AgwEmbedder, losses: AgwLosses) -> dict[str, torch.optim.Optimizer]:
    """Return Adam for network and classifier, and SGD for the centres."""
    params = losses.params
    network = trained(embedder, losses.classifiers)
    optimisers: dict[str, torch.optim.Optimizer] = {
        "optimiser": torch.optim.Adam(network, lr=params.lr, weight_decay=params.weight_decay)
    }
    if losses.center is not None:
        optimisers["center_optimiser"] = torch.optim.SGD(losses.center.parameters(), lr=params.center_lr)
    return optimisers
