"""example: trains on the labelled source and returns an embedder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench import FinetuneContext
from reidbench.errors import DataError
from reidbench.training import Augment, BackboneEmbedder, Batches, IdentitySampler, Preprocess, stream

from . import MethodParams


class Classifier(nn.Module):
    """The embedder with one logit per training identity."""

    def __init__(self, embedder: BackboneEmbedder, classes: int) -> None:
        super().__init__()
        self.embedder = embedder
        self.logits = nn.Linear(embedder.backbone.dim, classes, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images [B, 3, H, W] to logits [B, classes]."""
        return self.logits(self.embedder(images))


def finetune(ctx: FinetuneContext[MethodParams]) -> BackboneEmbedder:
    """Minimise the cross-entropy of the identities. Raises DataError for fewer than two of them."""
    params, source = ctx.params, ctx.source
    if source is None or source.num_pids < 2:
        raise DataError("example needs a source of two or more identities")
    labels = source.labels()
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    network = Classifier(BackboneEmbedder(backbone, preprocess, neck=True), source.num_pids)
    optimiser = torch.optim.Adam(network.parameters(), lr=params.lr)
    module, fabric_optimiser = ctx.fabric.setup(network, optimiser)
    order, augmentation = stream(ctx.seed, "order"), stream(ctx.seed, "augmentation")
    sampler = IdentitySampler(labels, params.identities, params.images, order)
    batches = Batches(source, preprocess, sampler, Augment(pad=2), augmentation, ctx.workers)
    targets = torch.from_numpy(labels).to(ctx.fabric.device)
    # All that a killed run needs in order to go on: networks, optimisers, schedules and every generator.
    state = {"network": network, "optimiser": optimiser, "order": order, "augmentation": augmentation}
    for _ in ctx.checkpoint.epochs(params.epochs, **state):
        module.train()
        losses = []
        for images, indices in batches:
            loss = F.cross_entropy(module(images.to(ctx.fabric.device)), targets[indices])
            fabric_optimiser.zero_grad()
            ctx.fabric.backward(loss)
            fabric_optimiser.step()
            losses.append(float(loss.detach()))
        ctx.log({"loss": sum(losses) / len(losses)})
    return network.embedder
