"""What bdb and mgn share: losses of several vectors, and the loop over identity batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from reidbench import FinetuneContext
from reidbench.data import Split
from reidbench.errors import DataError
from reidbench.training import (
    Batches,
    BatchHardTriplet,
    Embedder,
    IdentitySampler,
    LabelSmoothingCrossEntropy,
    Update,
)

from .params import BdbParams, MgnParams

Augmentation = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def labelled(ctx: FinetuneContext[BdbParams | MgnParams], name: str) -> Split:
    """The source, or DataError when it has fewer than two identities."""
    if ctx.source is None or ctx.source.num_pids < 2:
        raise DataError(f"{name} needs a source of two or more identities")
    return ctx.source


class PartLosses(nn.Module):
    """A classifier for each of several vectors, and a batch-hard triplet on some of them."""

    def __init__(self, dims: list[int], classes: int, *, smoothing: float, margin: float | None) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(nn.Linear(dim, classes) for dim in dims)
        for classifier in self.classifiers:
            nn.init.normal_(classifier.weight, std=0.001)
            nn.init.zeros_(classifier.bias)
        self.cross_entropy = LabelSmoothingCrossEntropy(smoothing)
        self.triplet = BatchHardTriplet(margin)

    def cross_entropies(self, vectors: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """One cross-entropy for each vector [B, D]: [vectors]."""
        return torch.stack([
            self.cross_entropy(classifier(vector), labels)
            for classifier, vector in zip(self.classifiers, vectors, strict=True)
        ])  # fmt: skip

    def triplets(self, vectors: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """One triplet loss for each vector [B, D]: [vectors]."""
        return torch.stack([self.triplet(vector, labels) for vector in vectors])


def fit(
    ctx: FinetuneContext[BdbParams | MgnParams],
    source: Split,
    embedder: Embedder,
    losses: PartLosses,
    vectors: Callable[[torch.Tensor], Sequence[torch.Tensor]],
    loss: Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor],
    optimiser: torch.optim.Optimizer,
    schedule: LambdaLR,
    augment: Augmentation,
    generator: torch.Generator,
) -> None:
    """Train by `loss(vectors(images), labels)` for the epochs of the parameters, from the last checkpoint."""
    params: BdbParams | MgnParams = ctx.params
    labels = source.labels()
    sampler = IdentitySampler(labels, params.identities, params.images, generator)
    batches = Batches(source, embedder.preprocess, sampler, augment, generator, ctx.workers)
    targets = torch.from_numpy(labels).to(ctx.device)
    embedder.to(ctx.device).train()
    losses.to(ctx.device)
    update = Update(ctx.fabric, optimiser)
    state = {"embedder": embedder, "losses": losses, "optimiser": optimiser, "schedule": schedule}
    for _ in ctx.checkpoint.epochs(params.epochs, **state, generator=generator):
        total, steps = 0.0, 0
        for images, indices in batches:
            with update.precision():
                found = vectors(images.to(ctx.device))
            total += update(loss([vector.float() for vector in found], targets[indices]))
            steps += 1
        ctx.log({"loss": total / steps, "lr": schedule.get_last_lr()[0], "steps": steps})
        schedule.step()
