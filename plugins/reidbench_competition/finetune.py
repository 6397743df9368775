"""The competition system's training: a long tail made even, strong augmentation, a triplet on cosine distances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from reidbench import FinetuneContext
from reidbench.errors import DataError
from reidbench.training import (
    Augment,
    BackboneEmbedder,
    BatchHardTriplet,
    Embedder,
    IdentitySampler,
    LabelSmoothingCrossEntropy,
    Preprocess,
    Update,
    image_source,
    stream,
    warmup_multistep,
)
from reidbench.training.batches.colour import colour_jitter
from reidbench.training.batches.patching import RandomAffine, RandomPatch, RandomShift
from reidbench.training.batches.resampling import consecutive, doubled_small, without_singles
from reidbench.training.optim.losses import cosine_distances, euclidean_distances

from .embedder import CompetitionEmbedder
from .params import CompetitionParams

CLASSIFIER_STD = 0.001
GREY = 127 / 255  # the canvas of RSA
FULL_HEIGHT = 256  # at which 10 pixels are padded


class Losses(nn.Module):
    """Cross-entropy on every vector behind its neck; triplet on the branches' global vectors, before it or behind."""

    def __init__(self, params: CompetitionParams, classes: int, dims: list[int], wholes: int) -> None:
        super().__init__()
        self.params = params
        self.wholes = wholes
        self.classifiers = nn.ModuleList(nn.Linear(dim, classes, bias=False) for dim in dims)
        for classifier in self.classifiers:
            nn.init.normal_(classifier.weight, std=CLASSIFIER_STD)
        self.cross_entropy = LabelSmoothingCrossEntropy(params.label_smoothing)
        distances = cosine_distances if params.distance == "cosine" else euclidean_distances
        self.triplet = BatchHardTriplet(params.margin(0), distances)

    def forward(self, before: list[torch.Tensor], after: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Vectors [B, D] before and after their necks, labels [B]: a scalar."""
        logits = [classifier(vector) for classifier, vector in zip(self.classifiers, after, strict=True)]
        identity = torch.stack([self.cross_entropy(one, labels) for one in logits]).mean()
        compared = after if self.params.triplet_on == "after" else before
        triplet = torch.stack([self.triplet(vector, labels) for vector in compared[: self.wholes]]).mean()
        return self.params.id_weight * identity + self.params.triplet_weight * triplet


class Pictures:
    """Augmented, normalised pictures of a source: flip and crop, colours, affine, patch, shift, erasing."""

    def __init__(
        self,
        params: CompetitionParams,
        fetch: Callable[[np.ndarray], torch.Tensor],
        preprocess: Preprocess,
        generator: torch.Generator,
    ) -> None:
        self.params, self.fetch, self.preprocess, self.generator = params, fetch, preprocess, generator
        height = preprocess.size[0]
        pad = params.pad if params.pad is not None else max(1, round(10 * height / FULL_HEIGHT))
        black = self.units(0.0)
        self.flip = Augment(flip=params.flip, pad=pad, pad_value=black, erase=0.0)
        self.affine = RandomAffine(params.affine, value=black)
        self.patch = RandomPatch(
            lambda indices: self.plain(indices.numpy()),
            (preprocess.size[0], preprocess.size[1]),
            probability=params.random_patch,
            capacity=params.patch_pool,
            minimum=params.patch_minimum,
        )
        self.shift = RandomShift(params.random_shift, params.shift_least, self.units(GREY))
        self.erase = Augment(flip=0.0, pad=0, erase=params.erase)

    def units(self, grey: float) -> tuple[float, ...]:
        """A grey of 0..1 in normalised units."""
        return tuple((grey - mean) / std for mean, std in zip(self.preprocess.mean, self.preprocess.std, strict=True))

    def plain(self, indices: np.ndarray) -> torch.Tensor:
        """Normalised pictures as they are."""
        return self.preprocess.normalise(self.fetch(indices))

    def batch(self, indices: np.ndarray) -> torch.Tensor:
        """Augmented pictures [B, 3, H, W]."""
        pixels = self.fetch(indices).permute(0, 3, 1, 2).float().div_(255)
        params, generator = self.params, self.generator
        pixels = colour_jitter(pixels, params.jitter_amounts, params.jitter, generator)
        images = self.preprocess.normalise(pixels.mul(255).permute(0, 2, 3, 1))
        images = self.flip(images, generator)
        if params.affine > 0:
            images = self.affine(images, generator)
        if params.random_patch > 0:
            images = self.patch(images, torch.from_numpy(indices), generator)
        if params.random_shift > 0:
            images = self.shift(images, generator)
        return self.erase(images, generator)


def training_images(labels: np.ndarray, params: CompetitionParams, seed: int) -> np.ndarray:
    """Indices of the images that train: no identity of one image, small identities perhaps twice."""
    kept = without_singles(labels) if params.drop_singles else np.arange(len(labels))
    doubled = doubled_small(labels[kept], below=params.double_below, probability=params.double_probability, seed=seed)
    return kept[doubled]


def finetune(ctx: FinetuneContext[CompetitionParams]) -> Embedder:
    """Train on the labelled source; the feature is that behind the necks.

    Without branches it is an ordinary backbone under its neck, which adapters go on from.
    Raises DataError when fewer than two identities (with two images, where single ones are dropped) are left.
    """
    params: CompetitionParams = ctx.params
    if ctx.source is None:
        raise DataError("competition needs a source")
    labels = ctx.source.labels()
    rows = training_images(labels, params, ctx.seed)
    classes = consecutive(labels[rows])
    if len(np.unique(classes)) < 2:
        raise DataError("competition needs a source of two or more identities with two images each")
    generator = stream(ctx.seed, "batches")
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = CompetitionEmbedder(
        backbone, preprocess, params.branches, params.dim, params.pool, params.apart, params.balanced
    )
    dims = [neck.norm.num_features for neck in embedder.necks]
    losses = Losses(params, int(classes.max()) + 1, dims, embedder.globals)
    _train(ctx, embedder, losses, rows, classes, generator)
    return embedder if params.branches != "global" else _plain(embedder)


def _plain(embedder: CompetitionEmbedder) -> BackboneEmbedder:
    plain = BackboneEmbedder(embedder.backbone, embedder.preprocess, neck=True)
    plain.neck = embedder.necks[0]
    return plain


def _train(
    ctx: FinetuneContext[CompetitionParams],
    embedder: CompetitionEmbedder,
    losses: Losses,
    rows: np.ndarray,
    classes: np.ndarray,
    generator: torch.Generator,
) -> None:
    params: CompetitionParams = ctx.params
    assert ctx.source is not None
    device = ctx.fabric.device
    fetch = image_source(ctx.source, ctx.image_size, workers=ctx.workers)
    pictures = Pictures(params, fetch, embedder.preprocess, generator)
    sampler = IdentitySampler(classes, params.identities, params.images, generator)
    embedder.to(device).train()
    losses.to(device)
    trained = [p for p in (*embedder.parameters(), *losses.parameters()) if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=params.lr, weight_decay=params.weight_decay)
    schedule = warmup_multistep(
        optimiser, params.epochs, warmup=params.warmup, milestones=params.milestones, gamma=params.gamma
    )
    update = Update(ctx.fabric, optimiser)
    targets = torch.from_numpy(classes).to(device)
    state = {"embedder": embedder, "losses": losses, "optimiser": optimiser, "schedule": schedule}
    for epoch in ctx.checkpoint.epochs(params.epochs, **state, generator=generator, patches=pictures.patch):
        losses.triplet.margin = params.margin(epoch)
        total, steps = 0.0, 0
        for chosen in sampler:
            images = pictures.batch(rows[chosen]).to(device)
            with update.precision():
                before = embedder.vectors(images)
            before = [vector.float() for vector in before]
            total += update(losses(before, embedder.after_necks(before), targets[chosen]))
            steps += 1
        rate = schedule.get_last_lr()[0]
        ctx.log({"loss": total / steps, "lr": rate, "margin": params.margin(epoch), "steps": steps})
        schedule.step()
