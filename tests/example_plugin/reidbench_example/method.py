"""example: trains on the labelled source and returns an embedder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench import FinetuneContext
from reidbench.training import (
    Augment,
    BackboneEmbedder,
    Batches,
    IdentitySampler,
    Loop,
    Preprocess,
    labelled_source,
    stream,
)

from . import MethodParams


class Classifier(nn.Module):
    """The embedder with one logit per training identity."""

    def __init__(self, embedder: BackboneEmbedder, classes: int) -> None:
        super().__init__()
        self.embedder = embedder
        self.logits = nn.Linear(embedder.backbone.dim, classes, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits [B, classes] of images [B, 3, H, W]."""
        logits: torch.Tensor = self.logits(self.embedder(images))
        return logits


def finetune(ctx: FinetuneContext[MethodParams]) -> BackboneEmbedder:
    """Minimise the cross-entropy of the identities. Raises DataError for fewer than two identities."""
    params, source = ctx.params, labelled_source(ctx, "example")
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    network = Classifier(BackboneEmbedder(backbone, preprocess, neck=True), source.num_pids)
    optimiser = torch.optim.Adam(network.parameters(), lr=params.lr)
    order, augmentation = stream(ctx.seed, "order"), stream(ctx.seed, "augmentation")
    sampler = IdentitySampler(source.labels(), params.identities, params.images, order)
    batches = Batches(source, preprocess, sampler, Augment(pad=2), augmentation, ctx.workers, device=ctx.fabric.device)
    targets = ctx.fabric.to_device(torch.from_numpy(source.labels()))
    # All state that a killed run needs to resume: networks, optimisers, the schedule if any, and every generator.
    networks, optimisers = {"network": network}, {"optimiser": optimiser}
    loop = Loop(ctx, params.epochs, networks, optimisers, order=order, augmentation=augmentation)
    for _ in loop.epochs():
        for images, indices in batches:
            with loop.precision():
                logits = network(ctx.fabric.to_device(images))
            loop.step({"loss": F.cross_entropy(logits.float(), targets[indices])})
    return network.embedder
