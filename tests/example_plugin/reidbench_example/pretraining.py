"""example-pretrainer: trains a backbone without labels and returns it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench import PretrainContext
from reidbench.errors import DataError
from reidbench.training import Backbone, Batches, Loop, Preprocess, ShuffledSampler, stream

from . import PretrainerParams


class Judge(nn.Module):
    """The backbone with two logits: upright, upside down."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.logits = nn.Linear(backbone.dim, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits [B, 2] of images [B, 3, H, W]."""
        logits: torch.Tensor = self.logits(self.backbone(images).vector)
        return logits


def pretrain(ctx: PretrainContext[PretrainerParams]) -> Backbone:
    """Learn to classify images as upright or upside down. Raises DataError for a task without a pool."""
    params, backbone = ctx.params, ctx.backbone()
    if ctx.pool is None:
        raise DataError("example-pretrainer requires a pool")
    network = Judge(backbone)
    optimiser = torch.optim.Adam(network.parameters(), lr=params.lr)
    order = stream(ctx.seed, "order")
    sampler = ShuffledSampler(len(ctx.pool), params.batch, order)
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    batches = Batches(ctx.pool, preprocess, sampler, workers=ctx.workers, device=ctx.fabric.device)
    loop = Loop(ctx, params.epochs, {"network": network}, {"optimiser": optimiser}, order=order)
    for _ in loop.epochs():
        for images, _ in batches:
            both = ctx.fabric.to_device(torch.cat([images, images.flip(2)]))
            turned = ctx.fabric.to_device(torch.arange(len(both)) >= len(images))
            with loop.precision():
                logits = network(both)
            loop.step({"loss": F.cross_entropy(logits.float(), turned.long())})
    return backbone
