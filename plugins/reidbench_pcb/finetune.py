"""Training of pcb (Sun et al., ECCV 2018): uniform stripes, then optionally refined parts."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from reidbench import FinetuneContext
from reidbench.training import (
    Augment,
    Backbone,
    Batches,
    IdentityLosses,
    Loop,
    Preprocess,
    ShuffledSampler,
    epoch_choice,
    fit,
    labelled_source,
    trained,
)

from .network import PcbEmbedder
from .params import PcbParams


class PcbLosses(IdentityLosses):
    """Sum of the cross-entropies of all parts, each with a separate classifier."""

    def __init__(self, params: PcbParams, classes: int) -> None:
        super().__init__([params.dim] * params.parts, classes, smoothing=0.0, margin=None, bias=True)

    def forward(self, vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute {"loss": scalar} from a vector [B, dim] of each part and labels [B] from 0."""
        return {"loss": self.cross_entropies(self.logits(vectors), labels).sum()}


def finetune(ctx: FinetuneContext[PcbParams]) -> PcbEmbedder:
    """Train with uniform stripes, then the part classifier alone, then all layers with refined parts.

    Raises DataError when the source has fewer than two identities, ReidbenchError when the map has fewer rows than
    parts.
    """
    params = ctx.params
    source = labelled_source(ctx, "pcb")
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone: Backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = PcbEmbedder(
        backbone, preprocess, params.parts, params.dim, params.reduction, params.dropout, params.feature,
        params.refined, params.part_inputs,
    )  # fmt: skip
    losses = PcbLosses(params, source.num_pids)
    optimiser = _optimiser(params, embedder, losses)
    augment = Augment(flip=params.flip, pad=0, erase=params.erase)
    sampler = ShuffledSampler(len(source), params.batch, generator)
    batches = Batches(source, preprocess, sampler, augment, generator, ctx.workers, device=ctx.fabric.device)
    networks = {"embedder": embedder, "losses": losses}
    phases = Phases(params, embedder, losses)
    schedule = LambdaLR(optimiser, phases.rate)
    loop = Loop(ctx, params.passes, networks, {"optimiser": optimiser}, schedule, generator=generator)
    fit(
        loop,
        batches,
        source.labels(),
        lambda images, _: embedder.vectors(images),
        losses,
        before_epoch=phases.begin,
        choice=epoch_choice(ctx, embedder, since=params.epochs if params.refined else 0),
    )
    phases.end()
    return embedder


def _optimiser(params: PcbParams, embedder: PcbEmbedder, losses: PcbLosses) -> torch.optim.Optimizer:
    """Return SGD for the new layers, and for the backbone with a share of their learning rate."""
    old = {id(weight) for weight in embedder.backbone.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in trained(embedder, losses) if id(weight) not in old]},
        {"params": trained(embedder.backbone), "lr": params.lr * params.network_rate},
    ]
    return torch.optim.SGD(
        groups, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay, nesterov=True
    )


class Phases:
    """Selects for each epoch, from 0, the pooling, the trained layers and the learning rate."""

    def __init__(self, params: PcbParams, embedder: PcbEmbedder, losses: PcbLosses) -> None:
        self.params, self.embedder = params, embedder
        self.fixed = [embedder.backbone, embedder.reductions, losses]  # while the part classifier is trained alone
        self.weights = trained(*self.fixed)
        self.falls = [round(milestone * params.epochs) for milestone in params.milestones]

    def begin(self, epoch: int) -> None:
        """Prepare the networks for an epoch; fixed layers keep weights and statistics."""
        self.embedder.refined = epoch >= self.params.epochs
        free = not 0 <= epoch - self.params.epochs < self.params.induce_epochs
        for weight in self.weights:
            weight.requires_grad_(free)
        for module in self.fixed:
            module.train(free)

    def end(self) -> None:
        """Leave the embedder as its files describe it, also if no epoch was left to train."""
        self.embedder.refined = self.params.refined
        for weight in self.weights:
            weight.requires_grad_(True)

    def rate(self, epoch: int) -> float:
        """Return the factor of the learning rates in an epoch."""
        if epoch >= self.params.epochs:
            return self.params.refine_lr / self.params.lr
        return float(self.params.gamma ** sum(epoch >= fall for fall in self.falls))
