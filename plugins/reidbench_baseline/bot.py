"""Bag of Tricks (Luo et al., CVPR Workshops 2019): a strong supervised baseline."""

from __future__ import annotations

import torch

from reidbench import FinetuneContext
from reidbench.training import (
    BackboneEmbedder,
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

from .params import BotRecipe


class _Losses(IdentityLosses):
    """Cross-entropy on the feature after the BNNeck, triplet and centre loss on the one before (Luo et al., fig. 5)."""

    def __init__(self, params: BotRecipe, classes: int, dim: int) -> None:
        super().__init__([dim], classes, smoothing=params.label_smoothing, margin=params.margin)
        self.params = params
        self.center = CenterLoss(classes, dim) if params.center_weight > 0 else None

    def forward(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss, a scalar, from features [B, D] before and after the neck and labels [B]."""
        loss = self.cross_entropies(self.logits([after]), labels).sum()
        loss = loss + self.params.triplet_weight * self.triplet(before, labels)
        if self.center is not None:
            loss = loss + self.params.center_weight * self.center(before, labels)
        return loss  # type: ignore[no-any-return]

    def scale_centres(self) -> None:
        """Undo the loss weight in the centres' gradients, so that their learning rate does not depend on it."""
        if self.center is not None and self.center.centers.grad is not None:
            self.center.centers.grad.mul_(1 / self.params.center_weight)


def finetune(ctx: FinetuneContext[BotRecipe]) -> BackboneEmbedder:
    """Train on the labelled source and return an embedder with the feature after the BNNeck.

    On several devices P x K is the global batch: each device runs the backbone, with synchronised batch norm, on its
    share, and all compute neck and losses on the gathered features. Raises DataError when the source has fewer than two
    identities, ReidbenchError when P x K is not divisible by the number of devices.
    """
    params = ctx.params
    source = labelled_source(ctx, "bot")
    labels = source.labels()
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = BackboneEmbedder(backbone, preprocess, neck=True, pool=params.pool)
    losses = _Losses(params, source.num_pids, backbone.dim)
    optimisers = _optimisers(embedder, losses, params)
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
    device = ctx.fabric.device
    batches = Batches(source, preprocess, sampler, augment, generator, ctx.workers, fast=params.fast, device=device)
    networks = {"embedder": embedder, "losses": losses}
    loop = Loop(ctx, params.epochs, networks, optimisers, schedule, generator=generator)

    def loss(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        (before,) = vectors
        return {"loss": losses(before, embedder.neck(before), labels)}

    join_batch_norm(embedder.backbone)
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
    part_batch_norm(embedder.backbone)
    return embedder


def _optimisers(embedder: BackboneEmbedder, losses: _Losses, params: BotRecipe) -> dict[str, torch.optim.Optimizer]:
    """Return Adam for the network and its classifier, and SGD for the centres."""
    network = trained(embedder, losses.classifiers)
    optimisers: dict[str, torch.optim.Optimizer] = {
        "optimiser": torch.optim.Adam(network, lr=params.lr, weight_decay=params.weight_decay)
    }
    if losses.center is not None:
        optimisers["center_optimiser"] = torch.optim.SGD(losses.center.parameters(), lr=params.center_lr)
    return optimisers
