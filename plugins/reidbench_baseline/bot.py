"""Bag of Tricks (Luo et al., CVPR Workshops 2019): a strong supervised baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

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

from .heads import CosineHead, cosine_head
from .pairs import CrossBatchMemory, circle_pairs
from .params import BotParams, BotRecipe
from .teachers import Teacher, plain_logits, write_classifier


class _Losses(IdentityLosses):
    """Cross-entropy on the feature after the BNNeck, triplet and centre loss on the one before (Luo et al., fig. 5).

    Without a neck both take the same feature, and the linear classifier has a bias and PyTorch's initial weights, as in
    the official code. A head with a margin replaces the linear classifier. The circle loss of pairs is added like the
    triplet loss. The loss with the memory uses the feature after the neck, which is compared at test.
    """

    def __init__(self, params: BotRecipe, classes: int, dim: int) -> None:
        linear = [dim] if params.head == "linear" else []
        super().__init__(linear, classes, smoothing=params.label_smoothing, margin=params.margin, bias=not params.neck)
        if linear and not params.neck:
            classifier: Any = self.classifiers[0]
            classifier.reset_parameters()
        if not linear:
            self.classifiers.append(cosine_head(params, dim, classes))
        self.params = params
        self.center = CenterLoss(classes, dim) if params.center_weight > 0 else None
        self.memory = CrossBatchMemory(params.memory, dim, params.memory_loss) if params.memory else None
        self.remembers = False

    def forward(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss, a scalar, from features [B, D] before and after the neck and labels [B]."""
        params = self.params
        loss = self.cross_entropy(self.classified(after, labels), labels)
        loss = loss + params.triplet_weight * self.triplet(before, labels)
        if self.center is not None:
            loss = loss + params.center_weight * self.center(before, labels)
        if params.circle_weight > 0:
            loss = loss + params.circle_weight * circle_pairs(before, labels, params.circle_scale, params.circle_margin)
        if self.memory is not None and self.remembers:
            loss = loss + params.memory_weight * self.memory(after, labels)
        return loss  # type: ignore[no-any-return]

    @property
    def head(self) -> nn.Linear | CosineHead:
        """The classifier."""
        head: Any = self.classifiers[0]
        return head  # type: ignore[no-any-return]

    def begin(self, epoch: int) -> None:
        """Use the memory from its first epoch on."""
        self.remembers = epoch >= round(self.params.memory_start * self.params.epochs)

    def classified(self, after: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Map features [B, D] after the neck to logits [B, classes], with the head's margin for labels [B]."""
        logits: torch.Tensor = self.head(after, labels) if isinstance(self.head, CosineHead) else self.head(after)
        return logits

    def scale_centres(self) -> None:
        """Undo the loss weight in the centres' gradients, so that their learning rate does not depend on it."""
        if self.center is not None:
            self.center.undo_weight(self.params.center_weight)


@dataclass(frozen=True)
class _Step:
    """Vectors of a batch and their losses, also those from a teacher, if any."""

    embedder: BackboneEmbedder
    losses: _Losses
    teacher: Teacher | None

    def vectors(self, images: torch.Tensor, indices: torch.Tensor) -> list[torch.Tensor]:
        """Return the vectors [B, D] before the neck, and then those of the teacher."""
        own = [self.embedder.before_neck(images)]
        return own if self.teacher is None else [*own, self.teacher.before_neck(images)]

    def values(self, vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute "loss", and with a teacher also "distillation", its term before weighting."""
        before, *taught = vectors
        after = self.embedder.neck(before)
        loss = self.losses(before, after, labels)
        if self.teacher is None:
            return {"loss": loss}
        distillation = self.teacher.loss(plain_logits(self.losses.head, after), *taught)
        return {"loss": loss + self.teacher.params.distill_weight * distillation, "distillation": distillation}


def finetune(ctx: FinetuneContext[BotParams]) -> BackboneEmbedder:
    """Train on the labelled source and return an embedder, with the feature after the BNNeck if any: see `train`."""
    return train(ctx, "bot")


def train(ctx: FinetuneContext[BotRecipe], name: str, teacher: Teacher | None = None) -> BackboneEmbedder:
    """Train on the labelled source and return an embedder, with the feature after the BNNeck if any.

    `name` is for errors.

    With `keep_classifier` the classifier is written to the stage's folder.

    On several devices P x K is the global batch: each device runs the backbone, with synchronised batch norm, on its
    share, and all compute neck and losses on the gathered features. Raises DataError when the source has fewer than two
    identities, ReidbenchError when P x K is not divisible by the number of devices.
    """
    params = ctx.params
    source = labelled_source(ctx, name)
    labels = source.labels()
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = BackboneEmbedder(backbone, preprocess, neck=params.neck, pool=params.pool)
    losses = _Losses(params, source.num_pids, backbone.dim)
    if teacher is not None:
        teacher.check(preprocess, source.num_pids)
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
    step = _Step(embedder, losses, teacher)

    join_batch_norm(embedder.backbone)
    fit(
        loop,
        batches,
        labels,
        step.vectors,
        step.values,
        before_epoch=losses.begin,
        before_step=losses.scale_centres,
        accumulate=params.accumulate,
        choice=epoch_choice(ctx, embedder),
    )
    part_batch_norm(embedder.backbone)
    if isinstance(params, BotParams) and params.keep_classifier:
        write_classifier(ctx.out, losses.head)
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
