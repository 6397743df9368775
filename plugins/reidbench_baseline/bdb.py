"""Batch DropBlock (Dai et al., ICCV 2019): a global branch, and one that drops the same block of a whole batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from reidbench import FinetuneContext
from reidbench.training import (
    Augment,
    Backbone,
    BatchDrop,
    Batches,
    Embedder,
    IdentityLosses,
    IdentitySampler,
    Loop,
    OnceSampler,
    Preprocess,
    Reduction,
    epoch_choice,
    fit,
    labelled_source,
    trained,
)
from reidbench.training.batches.augment import Draws
from reidbench.training.networks.backbone import layout_of

from .params import BdbParams

NORM_STD = 0.02  # of the batch norm weights, in the official initialisation


class _Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions with batch norm, as in ResNet-50; C to C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 4)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.relu(self.layers(maps) + maps)


class BdbEmbedder(Embedder):
    """Global feature and dropped-block feature, concatenated: [B, global_dim + drop_dim].

    Both branches share the backbone's last stage. Only the second has a new bottleneck, and drops rows in training.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        global_dim: int,
        drop_dim: int,
        drop_height: float,
        drop_width: float,
    ) -> None:
        super().__init__(
            preprocess=preprocess,
            backbone=backbone,
            global_dim=global_dim,
            drop_dim=drop_dim,
            drop_height=drop_height,
            drop_width=drop_width,
        )
        self.backbone = backbone
        self.reduction = Reduction(backbone.dim, global_dim, bias=True)
        self.bottleneck = _Bottleneck(backbone.dim).to(memory_format=layout_of(backbone))  # type: ignore[call-overload]
        self.drop = BatchDrop(drop_height, drop_width)
        self.dropped = nn.Sequential(nn.Linear(backbone.dim, drop_dim), nn.BatchNorm1d(drop_dim), nn.ReLU())

    def branches(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised images to [B, global_dim] and [B, drop_dim]."""
        maps = self.backbone(images).map
        whole = self.reduction(F.adaptive_avg_pool2d(maps, 1))
        partial = F.adaptive_max_pool2d(self.drop(self.bottleneck(maps)), 1).flatten(1)
        return whole, self.dropped(partial)

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised images to features [B, global_dim + drop_dim]; the official code compares them as they are."""
        return torch.cat(self.branches(images), 1)


class Cutout:
    """Random flips, then one square of zeros (the mean colour) on some of the images [B, 3, H, W]."""

    def __init__(self, flip: float, probability: float, share: float) -> None:
        self.flip = Augment(flip=flip, pad=0, erase=0.0)
        self.probability = probability
        self.share = share

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Draw flips, then squares: the side is a share of the height, and the whole square is inside the image."""
        height, width = size
        draws = self.flip.draw(count, size, generator)
        side = min(round(self.share * height), height, width)
        chosen, y, x = torch.rand(3, count, generator=generator)
        top, left = (y * (height - side + 1)).long(), (x * (width - side + 1)).long()
        box = torch.stack([top, left, torch.full_like(top, side), torch.full_like(top, side)], 1)
        box[chosen >= self.probability] = 0
        return replace(draws, box=box.numpy())

    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        """Augment normalised images [B, 3, H, W]; returns a new batch."""
        return self.flip.apply(images, drawn)


def stairs_then_steps(optimiser: torch.optim.Optimizer, params: BdbParams) -> LambdaLR:
    """Return a schedule in which lr rises in ten equal steps, then falls at each milestone.

    In the official 400 epochs: 1e-4 (e // 5 + 1) up to epoch 50, 1e-3 up to 200, 1e-4 up to 300, then 1e-5.
    """
    warm = round(params.warmup * params.epochs)
    falls = [round(milestone * params.epochs) for milestone in params.milestones]

    def factor(epoch: int) -> float:
        if epoch < warm:
            return (10 * epoch // warm + 1) / 10
        return float(params.gamma ** sum(epoch >= fall for fall in falls))

    return LambdaLR(optimiser, factor)


@torch.no_grad()
def start_as_published(embedder: BdbEmbedder) -> None:
    """Initialise the heads as the official code does: batch norm weights N(1, 0.02), the part's linear layer fan-out.

    The official code keeps torch's initialisation of the new bottleneck, too.
    """
    layers: Any = embedder.dropped
    linear, norm, _ = layers
    for one in (embedder.reduction.norm, norm):
        nn.init.normal_(one.weight, 1.0, NORM_STD)
    nn.init.kaiming_normal_(linear.weight, mode="fan_out")
    nn.init.zeros_(linear.bias)


class BdbLosses(IdentityLosses):
    """Sum of cross-entropy and soft-margin triplet loss over both features."""

    def __init__(self, params: BdbParams, classes: int) -> None:
        dims, smoothing = [params.global_dim, params.drop_dim], params.label_smoothing
        super().__init__(dims, classes, smoothing=smoothing, margin=params.margin, bias=True, start=params.start)

    def forward(self, vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute {"loss": scalar} from both features [B, D] and labels [B] from 0."""
        cross_entropy = self.cross_entropies(self.logits(vectors), labels).sum()
        return {"loss": cross_entropy + self.triplets(vectors, labels).sum()}


def _sampler(params: BdbParams, labels: np.ndarray, generator: torch.Generator) -> OnceSampler | IdentitySampler:
    """Return a sampler that drops a batch with fewer identities, as the official code does."""
    if params.passes == "images":
        return IdentitySampler(labels, params.identities, params.images, generator)
    return OnceSampler(labels, params.identities, params.images, generator, least=params.identities)


def finetune(ctx: FinetuneContext[BdbParams]) -> BdbEmbedder:
    """Train both branches with label-smoothed cross-entropy and soft-margin batch-hard triplet loss on the source.

    Raises DataError when the source has fewer than two identities.
    """
    params = ctx.params
    source = labelled_source(ctx, "bdb")
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone: Backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = BdbEmbedder(
        backbone, preprocess, params.global_dim, params.drop_dim, params.drop_height, params.drop_width
    )
    if params.start == "fan-out":
        start_as_published(embedder)
    embedder.drop.generator = generator
    losses = BdbLosses(params, source.num_pids)
    optimiser = torch.optim.Adam(trained(embedder, losses), lr=params.lr, weight_decay=params.weight_decay)
    schedule = stairs_then_steps(optimiser, params)
    augment = Cutout(params.flip, params.cutout, params.cutout_size)

    sampler = _sampler(params, source.labels(), generator)
    # The dropped blocks use the same generator in each step, so no batch can be drawn ahead of its step.
    device = ctx.fabric.device
    batches = Batches(source, preprocess, sampler, augment, generator, ctx.workers, device=device, ahead=False)
    networks = {"embedder": embedder, "losses": losses}
    loop = Loop(ctx, params.epochs, networks, {"optimiser": optimiser}, schedule, generator=generator)
    fit(
        loop,
        batches,
        source.labels(),
        lambda images, _: embedder.branches(images),
        losses,
        accumulate=params.accumulate,
        choice=epoch_choice(ctx, embedder),
    )
    embedder.drop.generator = None
    return embedder
