"""LUPerson's MGN (Fu et al., CVPR 2021), which compares pre-trainings: GeM, circle softmax, five triplets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from reidbench import FinetuneContext
from reidbench.training import (
    Augment,
    Backbone,
    Batches,
    BatchHardTriplet,
    BNNeck,
    Endless,
    GeM,
    IdentitySampler,
    Loop,
    Preprocess,
    epoch_choice,
    fit,
    generalised_mean,
    labelled_source,
    trained,
)

from .heads import CircleSoftmax
from .mgn import NORM_STD, STRIPES, VECTORS, BranchedEmbedder
from .params import MgnLupersonParams


class Head(nn.Module):
    """Map a stripe to a vector: generalised mean, 1x1 convolution, batch norm with a bias fixed at 0."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.pool = GeM()
        self.convolution = nn.Conv2d(inputs, dim, 1, bias=False)
        self.neck = BNNeck(dim)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out")
        nn.init.normal_(self.neck.norm.weight, 1.0, NORM_STD)

    def forward(self, maps: torch.Tensor, part: int = 0, parts: int = 1) -> torch.Tensor:
        """Map [B, inputs, h, w] to vectors [B, dim] of stripe `part` out of `parts` equal ones."""
        pooled = generalised_mean(maps, self.pool.exponent, (parts, 1))[:, :, part : part + 1]
        vectors: torch.Tensor = self.neck(self.convolution(pooled).flatten(1))
        return vectors


class MgnLupersonEmbedder(BranchedEmbedder):
    """Eight vectors of `dim`, each with a neck: [B, 8 dim]. Every branch has a last stride of 1."""

    def __init__(
        self, backbone: Backbone, preprocess: Preprocess | dict[str, Any], dim: int = 256, extra_norm: bool = True
    ) -> None:
        super().__init__((1, 1, 1), backbone=backbone, preprocess=preprocess, extra_norm=extra_norm, dim=dim)
        self.heads = nn.ModuleList(Head(backbone.dim, dim) for _ in range(VECTORS))

    def vectors(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the vectors [B, dim]: three global ones, then two halves and three thirds."""
        maps = self.maps(images)
        places = [(branch, 0, 1) for branch in range(len(STRIPES))]
        places += [(branch, part, parts) for branch, parts in enumerate(STRIPES) if parts > 1 for part in range(parts)]
        return [head(maps[branch], part, parts) for head, (branch, part, parts) in zip(self.heads, places, strict=True)]

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to features [B, 8 dim], which are compared by cosine distance."""
        return torch.cat(self.vectors(images), 1)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy with target 1 - eps for the true class and eps / (C - 1) for others: [B, C] and [B] to a scalar.

    BoT's and torch's label smoothing give a share of eps to the true class as well.
    """
    logs = F.log_softmax(logits, 1)
    share = smoothing / (logits.shape[1] - 1)
    own = logs.gather(1, labels[:, None])[:, 0]
    return -((1 - smoothing - share) * own + share * logs.sum(1)).mean()


def _classifier(params: MgnLupersonParams, classes: int) -> CircleSoftmax:
    reach = params.dim**-0.5
    weight = torch.empty(classes, params.dim).uniform_(-reach, reach)
    return CircleSoftmax(weight, params.circle_scale, params.circle_margin)


class MgnLupersonLosses(nn.Module):
    """Mean of eight cross-entropies, and mean of five triplet losses."""

    def __init__(self, params: MgnLupersonParams, classes: int) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(_classifier(params, classes) for _ in range(VECTORS))
        self.triplet = BatchHardTriplet(params.margin)
        self.triplet_weight = params.triplet_weight
        self.smoothing = params.label_smoothing

    def forward(self, vectors: Sequence[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the weighted sum as {"loss": scalar}: vectors [B, dim] in the embedder's order, labels [B] from 0."""
        logits = [classifier(vector, labels) for classifier, vector in zip(self.classifiers, vectors, strict=True)]
        identity = torch.stack([cross_entropy(one, labels, self.smoothing) for one in logits]).mean()
        compared = [*vectors[:3], torch.cat([*vectors[3:5]], 1), torch.cat([*vectors[5:]], 1)]
        triplet = torch.stack([self.triplet(one, labels) for one in compared]).mean()
        return {"loss": identity + self.triplet_weight * triplet}


def rate(params: MgnLupersonParams, step: int, steps: int) -> float:
    """Return Adam's learning rate at a step, counted from 0: linear warm-up, then lr, then a cosine to the floor."""
    warm, fall = round(params.warmup * steps), round(params.fall * steps)
    if step < warm:
        return params.lr * (params.warmup_factor + (1 - params.warmup_factor) * step / warm)
    if step <= fall:
        return params.lr
    return params.floor + (params.lr - params.floor) * (1 + math.cos(math.pi * (step - fall) / (steps - fall))) / 2


def finetune(ctx: FinetuneContext[MgnLupersonParams]) -> MgnLupersonEmbedder:
    """Train with circle softmax and triplet losses on the source; the first epochs train the heads only.

    Raises DataError when the source has fewer than two identities.
    """
    params = ctx.params
    source = labelled_source(ctx, "mgn-luperson")
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone: Backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = MgnLupersonEmbedder(backbone, preprocess, params.dim, params.extra_norm)
    losses = MgnLupersonLosses(params, source.num_pids)
    optimiser = torch.optim.Adam(trained(embedder, losses), lr=params.lr, weight_decay=params.weight_decay)
    black = [-mean / std for mean, std in zip(preprocess.mean, preprocess.std, strict=True)]
    augment = Augment(flip=params.flip, pad=params.pad, pad_value=black, erase=params.erase, erase_value=black)
    sampler = IdentitySampler(source.labels(), params.identities, params.images, generator)
    each = params.steps(len(source))
    batches = Batches(
        source, preprocess, Endless(sampler, each), augment, generator, ctx.workers, device=ctx.fabric.device
    )
    loop = Loop(ctx, params.epochs, {"embedder": embedder, "losses": losses}, {"optimiser": optimiser}, None,
                generator=generator)  # fmt: skip
    schedule = _Schedule(params, embedder, optimiser, each)
    fit(
        loop,
        batches,
        source.labels(),
        lambda images, _: embedder.vectors(images),
        losses,
        before_epoch=schedule.begin,
        before_step=schedule.step,
        choice=epoch_choice(ctx, embedder),
    )
    return embedder


class _Schedule:
    """Sets the learning rate of each step, and freezes the pre-trained part in the first epochs."""

    def __init__(
        self, params: MgnLupersonParams, embedder: MgnLupersonEmbedder, optimiser: torch.optim.Optimizer, each: int
    ) -> None:
        self.params, self.optimiser, self.each = params, optimiser, each
        self.pretrained = [embedder.shared, *embedder.branches]
        self.weights = trained(*self.pretrained)
        self.done = 0

    def begin(self, epoch: int) -> None:
        """Freeze or unfreeze weights and statistics for `epoch`."""
        self.done = epoch * self.each
        frozen = epoch < round(self.params.frozen * self.params.epochs)
        for weight in self.weights:
            weight.requires_grad_(not frozen)
        for module in self.pretrained:
            module.train(not frozen)

    def step(self) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.params, self.done, self.params.epochs * self.each)
        self.done += 1
