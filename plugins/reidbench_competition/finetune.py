"""Training of the competition system: balanced identities, strong augmentation, triplet loss on cosine distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from reidbench import AdaptContext, FinetuneContext
from reidbench.data.pictures.images import HasImages
from reidbench.errors import DataError
from reidbench.training import (
    Augment,
    BackboneEmbedder,
    Embedder,
    IdentityLosses,
    IdentitySampler,
    Loop,
    Preprocess,
    epoch_choice,
    fit,
    image_source,
    stream,
    trained,
    warmup_multistep,
)
from reidbench.training.batches.augment import padding
from reidbench.training.batches.colour import colour_jitter
from reidbench.training.batches.patching import RandomAffine, RandomPatch, RandomShift
from reidbench.training.batches.reading import made_ahead, upload
from reidbench.training.batches.resampling import consecutive, doubled_small, without_singles
from reidbench.training.optim.losses import cosine_distances, euclidean_distances

from .embedder import CompetitionEmbedder
from .params import CompetitionParams, CompetitionRecipe, JointParams

Ctx = FinetuneContext[CompetitionParams] | AdaptContext[JointParams]
GREY = 127 / 255  # canvas of RSA
CPU = torch.device("cpu")


class Losses(IdentityLosses):
    """Cross-entropy on every vector after its neck; triplet on the branches' global vectors, before or after it."""

    def __init__(self, params: CompetitionRecipe, classes: int, dims: list[int], wholes: int) -> None:
        distances = cosine_distances if params.distance == "cosine" else euclidean_distances
        super().__init__(dims, classes, smoothing=params.label_smoothing, margin=params.margin(0), distances=distances)
        self.params = params
        self.wholes = wholes

    def forward(self, before: list[torch.Tensor], after: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss, a scalar, from vectors [B, D] before and after their necks and labels [B]."""
        identity = self.cross_entropies(self.logits(after), labels).mean()
        compared = after if self.params.triplet_on == "after" else before
        triplet = self.triplets(compared[: self.wholes], labels).mean()
        return self.params.id_weight * identity + self.params.triplet_weight * triplet


@dataclass
class Pictures:
    """Augmented, normalised images of a source: flip and crop, colours, affine, patch, shift, erasing."""

    params: CompetitionRecipe
    fetch: Callable[[np.ndarray], torch.Tensor]
    preprocess: Preprocess
    generator: torch.Generator
    device: torch.device = CPU

    def __post_init__(self) -> None:
        params, preprocess = self.params, self.preprocess
        pad, black = padding(params.pad, preprocess.size[0]), self.units(0.0)
        self.flip = Augment(flip=params.flip, pad=pad, pad_value=black, erase=0.0)
        self.affine = RandomAffine(params.affine, value=black)
        self.patch = RandomPatch(
            lambda indices: self.plain(indices.numpy()),
            (preprocess.size[0], preprocess.size[1]),
            probability=params.random_patch,
            capacity=params.patch_pool,
            minimum=params.patch_minimum,
            rotate=params.patch_rotate,
            value=black,
        )
        self.shift = RandomShift(params.random_shift, params.shift_least, self.units(GREY))
        self.erase = Augment(flip=0.0, pad=0, erase=params.erase)

    def units(self, grey: float) -> tuple[float, ...]:
        """Return a grey of 0..1 in normalised units."""
        return tuple((grey - mean) / std for mean, std in zip(self.preprocess.mean, self.preprocess.std, strict=True))

    def plain(self, indices: np.ndarray) -> torch.Tensor:
        """Return normalised images without augmentation."""
        return self.preprocess.normalise(upload(self.fetch(indices), self.device))

    def batch(self, indices: np.ndarray) -> torch.Tensor:
        """Return augmented images [B, 3, H, W] on the device; random numbers are drawn on the CPU."""
        pixels = upload(self.fetch(indices), self.device).permute(0, 3, 1, 2).float().div_(255)
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


@dataclass(frozen=True)
class _Batches:
    """Images of `rows` and their positions in it, for each index array of `sampler`; workers prepare a batch ahead."""

    pictures: Pictures
    rows: np.ndarray
    sampler: IdentitySampler
    workers: int

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return made_ahead(self._made(), self.workers)

    def _made(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for chosen in self.sampler:
            yield self.pictures.batch(self.rows[chosen]), torch.from_numpy(chosen)


def training_images(labels: np.ndarray, params: CompetitionRecipe, seed: int) -> np.ndarray:
    """Return indices of the training images: no identity with one image, small identities possibly twice."""
    kept = without_singles(labels) if params.drop_singles else np.arange(len(labels))
    doubled = doubled_small(labels[kept], below=params.double_below, probability=params.double_probability, seed=seed)
    rows: np.ndarray = kept[doubled]
    return rows


def finetune(ctx: FinetuneContext[CompetitionParams]) -> Embedder:
    """Train on the labelled source; the feature is the one after the necks.

    Without branches the result is an ordinary backbone with a neck, which adapters continue from.
    Raises DataError if fewer than two identities (with two images, if single ones are dropped) remain.
    """
    if ctx.source is None:
        raise DataError("competition requires a source; name one in the task")
    return train_recipe(ctx, ctx.source, ctx.source.labels())


def train_recipe(ctx: Ctx, images: HasImages, labels: np.ndarray) -> Embedder:
    """Train on `images` with identities `labels` [N]; images labelled -1 are excluded. See `finetune`."""
    inside = np.flatnonzero(labels >= 0)
    rows = inside[training_images(labels[inside], ctx.params, ctx.seed)]
    classes = consecutive(labels[rows])
    if len(np.unique(classes)) < 2:
        raise DataError("competition requires a source with at least two identities that have two images each")
    embedder = _train(ctx, images, rows, classes)
    return embedder if ctx.params.branches != "global" else _plain(embedder)


def _plain(embedder: CompetitionEmbedder) -> BackboneEmbedder:
    plain = BackboneEmbedder(embedder.backbone, embedder.preprocess, neck=True)
    (plain.neck,) = embedder.necks
    return plain


def _train(ctx: Ctx, images: HasImages, rows: np.ndarray, classes: np.ndarray) -> CompetitionEmbedder:
    params = ctx.params
    generator = stream(ctx.seed, "batches")
    backbone = ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = CompetitionEmbedder(
        backbone, preprocess, params.branches, params.dim, params.pool, params.apart, params.balanced
    )
    losses = Losses(params, int(classes.max()) + 1, embedder.dims, embedder.globals)
    fetch = image_source(images, ctx.image_size, workers=ctx.workers)
    pictures = Pictures(params, fetch, preprocess, generator, ctx.fabric.device)
    sampler = IdentitySampler(classes, params.identities, params.images, generator)
    optimiser = torch.optim.Adam(trained(embedder, losses), lr=params.lr, weight_decay=params.weight_decay)
    schedule = warmup_multistep(
        optimiser, params.epochs, warmup=params.warmup, milestones=params.milestones, gamma=params.gamma
    )
    networks = {"embedder": embedder, "losses": losses}
    optimisers, patches = {"optimiser": optimiser}, pictures.patch
    loop = Loop(ctx, params.epochs, networks, optimisers, schedule, generator=generator, patches=patches)

    def loss(before: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": losses(before, embedder.after_necks(before), labels)}

    def widen(epoch: int) -> None:
        losses.triplet.margin = loop.facts["margin"] = params.margin(epoch)

    batches = _Batches(pictures, rows, sampler, ctx.workers)
    fit(
        loop,
        batches,
        classes,
        lambda images, _: embedder.vectors(images),
        loss,
        before_epoch=widen,
        accumulate=params.accumulate,
        choice=epoch_choice(ctx, embedder),
    )
    return embedder
