"""example-adapter: learns from the target's images, without labels, and returns an embedder."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from reidbench import AdaptContext
from reidbench.training import BackboneEmbedder, Batches, Loop, Preprocess, ShuffledSampler, stream

from . import AdapterParams


def adapt(ctx: AdaptContext[AdapterParams]) -> BackboneEmbedder:
    """Bring each target image and its mirror image together, from the weights of the previous step."""
    params, backbone = ctx.params, ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = BackboneEmbedder(backbone, preprocess)
    optimiser = torch.optim.Adam(embedder.parameters(), lr=params.lr)
    order = stream(ctx.seed, "order")
    sampler = ShuffledSampler(len(ctx.target), params.batch, order)
    batches = Batches(ctx.target, preprocess, sampler, workers=ctx.workers, device=ctx.fabric.device)
    loop = Loop(ctx, params.epochs, {"embedder": embedder}, {"optimiser": optimiser}, order=order)
    for _ in loop.epochs():
        for images, _ in batches:
            images = ctx.fabric.to_device(images)
            with loop.precision():
                plain, mirrored = embedder(images), embedder(images.flip(3))
            similarity = F.cosine_similarity(plain.float(), mirrored.float())
            loop.step({"loss": 1 - similarity.mean()})
    return embedder
