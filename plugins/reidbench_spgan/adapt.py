"""Feature learning of SPGAN: a classifier of identities on source images in the target's style (IDE)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from reidbench import AdaptContext
from reidbench.training import (
    Backbone,
    BackboneEmbedder,
    Batches,
    Loop,
    Preprocess,
    ShuffledSampler,
    fit,
    identity_heads,
    labelled_source,
    trained,
    warmup_multistep,
)
from reidbench.training.batches.augment import bot_augment

from .files import translated_split
from .params import SpganTrainingParams


class PartEmbedder(BackboneEmbedder):
    """The backbone's pooled vector at unit length, or (LMP) maxima of `parts` horizontal parts of its map, joined."""

    def __init__(
        self, backbone: Backbone, preprocess: Preprocess | dict[str, Any], neck: bool = False, parts: int = 0
    ) -> None:
        super().__init__(backbone, preprocess, neck)
        self.spec["parts"] = parts
        self.parts = parts

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to features [B, dim], or [B, dim x parts]."""
        features = self.backbone(images)
        if self.parts == 0:
            return F.normalize(self.pooled(features).float(), dim=1)
        return F.normalize(F.adaptive_max_pool2d(features.map, (self.parts, 1)).flatten(1).float(), dim=1)


def adapt(ctx: AdaptContext[SpganTrainingParams]) -> PartEmbedder:
    """Train on the translated source with its labels and return the embedder.

    Raises DataError if the source has fewer than two identities.
    """
    params = ctx.params
    source = labelled_source(ctx, "spgan")
    images = translated_split(ctx.prepared["translation"], source) if params.translation is not None else source
    generator = torch.Generator().manual_seed(ctx.seed)
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = PartEmbedder(backbone, preprocess, parts=params.parts)
    (classifier,) = identity_heads([backbone.dim], source.num_pids, bias=True, generator=generator)
    norms = [module for module in backbone.modules() if isinstance(module, _BatchNorm)] if params.fix_norms else []
    for norm in norms:
        norm.requires_grad_(False)
    optimiser = _optimiser(embedder, classifier, params)
    schedule = warmup_multistep(optimiser, params.epochs, warmup=0, milestones=params.milestones, gamma=params.gamma)
    sampler = ShuffledSampler(len(images), params.batch, generator)
    augment = bot_augment(params.flip, 0, 0, ctx.image_size[0])
    device = ctx.fabric.device
    batches = Batches(images, preprocess, sampler, augment, generator, ctx.workers, device=device)
    networks = {"embedder": embedder, "classifier": classifier}
    loop = Loop(ctx, params.epochs, networks, {"optimiser": optimiser}, schedule, generator=generator)

    def fix(epoch: int) -> None:
        for norm in norms:
            norm.eval()

    def losses(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = classifier(vectors[0])
        right = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": right}

    fit(loop, batches, images.labels(), lambda pixels, _: [embedder.before_neck(pixels)], losses, before_epoch=fix)
    return embedder


def _optimiser(embedder: nn.Module, classifier: nn.Module, params: SpganTrainingParams) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": trained(embedder)},
        {"params": trained(classifier), "lr": params.lr * params.classifier_factor},
    ]
    return torch.optim.SGD(groups, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
