"""CLIP-ReID's two stages: texts of identities with frozen encoders, then the image encoder with frozen texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from reidbench import FinetuneContext
from reidbench.data import Split
from reidbench.errors import ReidbenchError
from reidbench.training import (
    Batches,
    BNNeck,
    IdentitySampler,
    Loop,
    Preprocess,
    embed,
    labelled_source,
    read_state,
    seeded,
    stream,
)
from reidbench.training.batches.noise import NoiseAugment

from .embedder import ClipEmbedder, Projected
from .encoders import TextEncoder
from .losses import ClipReidLosses, contrastive
from .params import ClipReidParams
from .rates import rate
from .weights import load_text_encoder

Ctx = FinetuneContext[ClipReidParams]
PROMPT_STD = 0.02


class Recipe(nn.Module):
    """All that is trained: first the tokens of identities, then encoder, necks and classifiers."""

    def __init__(self, embedder: ClipEmbedder, classes: int, params: ClipReidParams) -> None:
        super().__init__()
        backbone: Any = embedder.backbone
        dims = [backbone.dim, backbone.shared]
        self.embedder = embedder
        self.prompts = nn.Parameter(PROMPT_STD * torch.randn(classes, params.tokens, params.text_dim))
        self.necks = nn.ModuleList(BNNeck(dim) for dim in dims)
        self.losses = ClipReidLosses(dims, classes, params)

    def values(self, vectors: list[torch.Tensor], texts: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Losses of the second stage, from the vectors of `Encoded`, texts [classes, shared] and labels [B] from 0."""
        after = [neck(vector) for neck, vector in zip(self.necks, vectors[1:], strict=True)]
        found: dict[str, torch.Tensor] = self.losses(vectors, after, texts, labels)
        return found


def finetune(ctx: Ctx) -> ClipEmbedder:
    """clip-reid: train texts, then the image encoder, on the labelled source.

    Raises DataError if the source has fewer than two identities, ReidbenchError for more than one device, and if
    `text_file` cannot be read or does not fit.
    """
    source = labelled_source(ctx, "clip-reid")
    if ctx.fabric.world_size != 1:
        raise ReidbenchError("clip-reid runs on one device: set `devices: 1`")
    training = Training(ctx, source)
    for epoch in training.loop.epochs():
        if epoch < ctx.params.prompt_epochs:
            training.learn_texts()
        else:
            training.learn_images()
    return training.recipe.embedder


class Training:
    """Both stages as one loop, so that a killed stage resumes in either; one optimiser, whose rates are the stage's.

    A parameter without a gradient is not changed by Adam, not even by its decay: in each stage the other's rest.
    """

    def __init__(self, ctx: Ctx, source: Split) -> None:
        params = ctx.params
        self.ctx, self.params, self.source = ctx, params, source
        backbone: Any = ctx.backbone()
        preprocess = Preprocess(ctx.image_size, params.mean or backbone.mean, params.std or backbone.std)
        with seeded(ctx.seed, "heads"):
            self.recipe = Recipe(ClipEmbedder(backbone, preprocess), source.num_pids, params)
        self.encoder = backbone
        self.text = ctx.fabric.to_device(_text_encoder(ctx, self.encoder.shared))
        self.labels = ctx.fabric.to_device(torch.from_numpy(source.labels()))
        self.pairs = stream(ctx.seed, "pairs")
        order, augmentation = stream(ctx.seed, "order"), stream(ctx.seed, "augmentation")
        sampler = IdentitySampler(source.labels(), params.identities, params.images, order)
        augment = NoiseAugment(
            preprocess, flip=params.flip, pad=params.pad, erase=params.erase, height=ctx.image_size[0]
        )
        self.batches = Batches(
            source, preprocess, sampler, augment, augmentation, ctx.workers, device=ctx.fabric.device
        )
        optimiser = make_optimiser(self.recipe, params)
        schedule = make_schedule(optimiser, params)
        self.loop = Loop(
            ctx,
            params.prompt_epochs + params.epochs,
            {"recipe": self.recipe},
            {"optimiser": optimiser},
            schedule,
            pairs=self.pairs,
            order=order,
            augmentation=augmentation,
        )
        self.features: torch.Tensor | None = None
        self.texts: torch.Tensor | None = None

    def learn_texts(self) -> None:
        """One epoch of the first stage: texts of identities against the images' fixed features."""
        if self.features is None:
            self.features = self._projected()
        for rows in self._shuffled(len(self.features)):
            labels, features = self.labels[rows], self.features[rows]
            with self.loop.precision():
                texts = self.text(self.recipe.prompts[labels])
            texts = texts.float()
            i2t, t2i = contrastive(features, texts, labels), contrastive(texts, features, labels)
            self.loop.step({"loss": i2t + t2i, "i2t": i2t, "t2i": t2i})

    def learn_images(self) -> None:
        """One epoch of the second stage: the image encoder against the identities' fixed texts."""
        if self.texts is None:
            self.texts = self._all_texts()
        for images, indices in self.batches:
            with self.loop.precision():
                encoded = self.encoder.encode(self.ctx.fabric.to_device(images))
            vectors = [vector.float() for vector in encoded]
            self.loop.step(self.recipe.values(vectors, self.texts, self.labels[indices]))

    def _projected(self) -> torch.Tensor:
        """Projected vectors of all images without augmentation [N, shared]."""
        embedder = Projected(self.recipe.embedder.backbone, self.recipe.embedder.preprocess)
        device, workers = self.ctx.fabric.device, self.ctx.workers
        found = embed(embedder, self.source, self.source.camids, device=device, workers=workers)
        features: torch.Tensor = self.ctx.fabric.to_device(torch.from_numpy(found))
        return features

    def _shuffled(self, count: int) -> Iterator[torch.Tensor]:
        """Row numbers of all images in batches; the last one may be smaller."""
        rows = torch.randperm(count, generator=self.pairs).to(self.labels.device)
        yield from torch.split(rows, self.params.prompt_batch)

    @torch.no_grad()
    def _all_texts(self) -> torch.Tensor:
        """Texts of all identities [classes, shared]."""
        parts = torch.split(self.recipe.prompts, self.params.prompt_batch)
        return torch.cat([self.text(part) for part in parts]).float()


def _text_encoder(ctx: Ctx, shared: int) -> TextEncoder:
    """Text encoder from the file, or random from the stage's seed."""
    params = ctx.params
    with seeded(ctx.seed, "text encoder"):
        encoder = TextEncoder(params.text_dim, params.text_depth, params.text_heads, shared, params.tokens)
    if params.text_file is not None:
        load_text_encoder(encoder, read_state(params.text_file), str(params.text_file), params.tokens)
    return encoder


def make_optimiser(recipe: Recipe, params: ClipReidParams) -> torch.optim.Adam:
    """Return Adam with three groups: prompts, other parameters without, and with "bias" in their name."""
    others = [(name, one) for name, one in recipe.named_parameters() if one.requires_grad and name != "prompts"]
    groups = [{"params": [recipe.prompts]}]
    groups += [{"params": [one for name, one in others if ("bias" in name) is biases]} for biases in (False, True)]
    return torch.optim.Adam(groups, lr=1.0, weight_decay=params.weight_decay)


def make_schedule(optimiser: torch.optim.Optimizer, params: ClipReidParams) -> LambdaLR:
    """Return the schedule of both stages; the third group's rate is higher in the second."""

    def of_biases(epoch: int) -> float:
        return rate(params, epoch) * (params.bias_lr_factor if epoch >= params.prompt_epochs else 1.0)

    return LambdaLR(optimiser, [lambda epoch: rate(params, epoch), lambda epoch: rate(params, epoch), of_biases])
