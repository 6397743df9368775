"""Adaptive batch norm (Li et al., 2016): target statistics with source weights."""

from __future__ import annotations

import torch
from torch import nn

from reidbench import AdaptContext
from reidbench.data import HiddenSplit
from reidbench.errors import ReidbenchError
from reidbench.training import BackboneEmbedder, Batches, Embedder, Preprocess, ShuffledSampler

from .params import AdaBNParams

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def adapt(ctx: AdaptContext[AdaBNParams]) -> Embedder:
    """Re-estimate all running statistics on the target; no weight changes.

    Every method that forwards target images in train mode does the same implicitly, so this is in every adaptation
    table. Raises ReidbenchError for a network without batch norm.
    """
    embedder = ctx.start
    if embedder is None:
        backbone = ctx.backbone()
        embedder = BackboneEmbedder(backbone, Preprocess(ctx.image_size, backbone.mean, backbone.std))
    params = ctx.params
    estimate(embedder, ctx.target, params, torch.Generator().manual_seed(ctx.seed), ctx.fabric.device, ctx.workers)
    return embedder


@torch.no_grad()
def estimate(
    embedder: Embedder,
    images: HiddenSplit,
    params: AdaBNParams,
    generator: torch.Generator,
    device: str | torch.device = "cpu",
    workers: int = 0,
) -> None:
    """Set the running statistics of `embedder` to their mean over all full batches of `images`."""
    norms = [module for module in embedder.modules() if isinstance(module, NORMS)]
    if not norms:
        raise ReidbenchError("adabn needs batch norm, but this network has none; choose another backbone")
    momenta = [norm.momentum for norm in norms]
    embedder.to(device).eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's value for a plain mean over batches
        norm.train()
    # A smaller last batch would have the weight of a full one, so the sampler drops it.
    sampler = ShuffledSampler(len(images), params.batch, generator)
    batches = Batches(images, embedder.preprocess, sampler, workers=workers, device=device)
    camids = torch.as_tensor(images.camids)
    for _ in range(params.passes):
        for pictures, indices in batches:
            embedder(pictures.to(device), camids[indices].to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    embedder.eval()
