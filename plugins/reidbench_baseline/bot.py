"""Bag of Tricks (Luo et al., CVPR Workshops 2019): the strong supervised baseline."""

from __future__ import annotations

import torch
from torch import nn

from reidbench import FinetuneContext
from reidbench.errors import DataError
from reidbench.training import (
    Augment,
    BackboneEmbedder,
    Batches,
    BatchHardTriplet,
    CenterLoss,
    IdentitySampler,
    LabelSmoothingCrossEntropy,
    Preprocess,
    Update,
    warmup_multistep,
)
from reidbench.training.devices import gather
from reidbench.training.networks.splitnorm import join_batch_norm, part_batch_norm

from .params import BotParams

CLASSIFIER_STD = 0.001  # small, so that the first cross-entropy is log C
# The official code erases with ImageNet's mean after normalising, which is a light grey, not the mean.
ERASE_VALUE = (0.485, 0.456, 0.406)


class _Losses(nn.Module):
    """Classifier on the feature after the BNNeck; triplet and centre loss on the one before (Luo et al., fig. 5)."""

    def __init__(self, params: BotParams, classes: int, dim: int) -> None:
        super().__init__()
        self.params = params
        self.classifier = nn.Linear(dim, classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=CLASSIFIER_STD)
        self.cross_entropy = LabelSmoothingCrossEntropy(params.label_smoothing)
        self.triplet = BatchHardTriplet(params.margin)
        self.center = CenterLoss(classes, dim) if params.center_weight > 0 else None

    def forward(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = self.cross_entropy(self.classifier(after), labels)
        loss = loss + self.params.triplet_weight * self.triplet(before, labels)
        if self.center is not None:
            loss = loss + self.params.center_weight * self.center(before, labels)
        return loss  # type: ignore[no-any-return]


def finetune(ctx: FinetuneContext[BotParams]) -> BackboneEmbedder:
    """Train on the labelled source and return the embedder whose feature is the one after the BNNeck.

    On several devices P x K is the batch of all together: each runs the backbone, with joined batch norm, on its share,
    and all compute neck and losses of the gathered features. Raises DataError when the source has fewer than two
    identities, ReidbenchError when P x K cannot be divided among the devices.
    """
    params: BotParams = ctx.params
    source = ctx.source
    if source is None or source.num_pids < 2:
        raise DataError("bot needs a source of two or more identities")
    labels = source.labels()
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = BackboneEmbedder(backbone, preprocess, neck=True)
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
    batches = Batches(
        source,
        preprocess,
        IdentitySampler(labels, params.identities, params.images, generator),
        _augment(params, ctx.image_size[0]),
        generator,
        ctx.workers,
        fast=params.fast,
    )
    targets = torch.from_numpy(labels).to(ctx.device)
    join_batch_norm(embedder.backbone)
    embedder.to(ctx.device).train()
    losses.to(ctx.device)
    update = Update(ctx.fabric, *optimisers.values())
    state = {"embedder": embedder, "losses": losses, "schedule": schedule, "generator": generator, **optimisers}
    for _ in ctx.checkpoint.epochs(params.epochs, **state):
        total, steps = 0.0, 0
        for images, indices in batches:
            total += _step(embedder, losses, update, images.to(ctx.device), targets[indices])
            steps += 1
        ctx.log({"loss": total / steps, "lr": schedule.get_last_lr()[0], "steps": steps})
        schedule.step()
    part_batch_norm(embedder.backbone)
    return embedder


def _step(
    embedder: BackboneEmbedder,
    losses: _Losses,
    update: Update,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    with update.precision():
        before = embedder.backbone(images).vector
    before = gather(before.float())
    loss = losses(before, embedder.neck(before), gather(labels))
    update.backward(loss)
    if losses.center is not None:
        # The centres learn at their own rate, whatever the weight of their loss (official code).
        losses.center.centers.grad.mul_(1 / losses.params.center_weight)
    update.step()
    return float(loss.detach())


def _optimisers(embedder: nn.Module, losses: _Losses, params: BotParams) -> dict[str, torch.optim.Optimizer]:
    """Adam for the network and its classifier, SGD for the centres."""
    trained = [p for p in (*embedder.parameters(), *losses.classifier.parameters()) if p.requires_grad]
    optimisers: dict[str, torch.optim.Optimizer] = {
        "optimiser": torch.optim.Adam(trained, lr=params.lr, weight_decay=params.weight_decay)
    }
    if losses.center is not None:
        optimisers["center_optimiser"] = torch.optim.SGD(losses.center.parameters(), lr=params.center_lr)
    return optimisers


def _augment(params: BotParams, height: int) -> Augment:
    pad = params.pad if params.pad is not None else max(1, round(10 * height / 256))
    return Augment(flip=params.flip, pad=pad, erase=params.erase, erase_value=ERASE_VALUE)
