"""Supervised fine-tuning as in TransReID-SSL: ID loss after the BNNeck, soft triplet before it, SGD, cosine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from reidbench import FinetuneContext
from reidbench.data import UNKNOWN_CAMERA, Split
from reidbench.errors import DataError, ReidbenchError
from reidbench.training import (
    Batches,
    IdentityLosses,
    IdentitySampler,
    Loop,
    Preprocess,
    epoch_choice,
    fit,
    labelled_source,
    seeded,
    stream,
)
from reidbench.training.networks.droppath import chosen_drop_path, set_drop_path
from reidbench.training.optim.cosine import warmup_cosine

from .embedder import TransReidEmbedder
from .transreid_augment import Bicubic, TrainAugment
from .transreid_params import DROP_PATH, TransReidParams, TransReidSieParams

Ctx = FinetuneContext[TransReidParams]


class Loss(NamedTuple):
    """The loss of a step, and values to log; all scalars."""

    loss: torch.Tensor
    cross_entropy: torch.Tensor
    triplet: torch.Tensor
    accuracy: torch.Tensor


class Recipe(IdentityLosses):
    """The embedder with a classifier on each of its vectors.

    With local branches a loss is half the global one and half the mean of the local ones, as in TransReID's code.
    """

    def __init__(self, embedder: TransReidEmbedder, classes: int, params: TransReidParams) -> None:
        dims = [embedder.backbone.dim] * len(embedder.necks)
        super().__init__(dims, classes, smoothing=params.label_smoothing, margin=params.margin)
        self.embedder = embedder
        self.triplet_weight = params.triplet_weight

    def losses(self, vectors: Sequence[torch.Tensor], labels: torch.Tensor) -> Loss:
        """Return the loss of vectors [B, D], the global one first: triplet on them, cross-entropy after their necks.

        Labels [B] count from 0; the accuracy is that of the global classifier.
        """
        logits = self.logits(self.embedder.after_necks(vectors))
        cross_entropy, triplet = _join(self.cross_entropies(logits, labels)), _join(self.triplets(vectors, labels))
        accuracy = (logits[0].detach().argmax(1) == labels).float().mean()
        return Loss(cross_entropy + self.triplet_weight * triplet, cross_entropy, triplet, accuracy)


def _join(losses: torch.Tensor) -> torch.Tensor:
    return losses[0] if len(losses) == 1 else 0.5 * losses[0] + 0.5 * losses[1:].mean()


def finetune(ctx: Ctx) -> TransReidEmbedder:
    """transreid: train on the labelled source, without camera ids.

    Raises DataError if the source has fewer than two identities, ReidbenchError for jpm on a backbone without tokens
    and for more than one device.
    """
    return _train(ctx, _source(ctx, "transreid"), {})


def finetune_sie(ctx: FinetuneContext[TransReidSieParams]) -> TransReidEmbedder:
    """transreid-sie: the same with a vector for each camera of the source (side information embedding).

    Raises as `finetune` does, and DataError if no camera of the source is known.
    """
    params = ctx.params
    source = _source(ctx, "transreid-sie")
    cameras = np.unique(source.camids[source.camids != UNKNOWN_CAMERA]).tolist()
    if not cameras:
        raise DataError("transreid-sie needs a source with camera ids")
    coefficient, at_test = params.camera_coefficient, params.camera_at_test
    side = {"cameras": cameras, "camera_coefficient": coefficient, "camera_at_test": at_test}
    return _train(ctx, source, side)


def _source(ctx: Ctx, name: str) -> Split:
    source = labelled_source(ctx, name)
    if ctx.fabric.world_size != 1:
        raise ReidbenchError(f"{name} runs on one device: set `devices: 1`")
    return source


def _train(ctx: Ctx, source: Split, side: dict[str, Any]) -> TransReidEmbedder:
    params = ctx.params
    labels = source.labels()
    recipe = _recipe(ctx, source.num_pids, side)
    optimiser = make_optimiser(recipe, params)
    schedule = warmup_cosine(
        optimiser,
        params.epochs,
        params.lr,
        warmup=params.warmup,
        warmup_factor=params.warmup_factor,
        floor_factor=params.floor_factor,
    )
    streams = {name: stream(ctx.seed, name) for name in ("order", "augmentation")}
    batches = _batches(ctx, source, labels, recipe.embedder.preprocess, streams)
    networks, optimisers = {"recipe": recipe}, {"optimiser": optimiser}
    # The log's means are in single precision, as in earlier versions.
    loop = Loop(ctx, params.epochs, networks, optimisers, schedule, number=np.float32, **streams)
    cameras = ctx.fabric.to_device(torch.from_numpy(source.camids))
    # Drop path draws from the global generator, which the checkpoint stores; it is seeded with a separate stream here.
    torch.manual_seed(stream(ctx.seed, "drop path").initial_seed())
    fit(
        loop,
        batches,
        labels,
        lambda images, indices: recipe.embedder.vectors(images, cameras[indices]),
        lambda vectors, labels: recipe.losses(vectors, labels)._asdict(),
        accumulate=params.accumulate,
        choice=epoch_choice(ctx, recipe.embedder),
    )
    return recipe.embedder


def _recipe(ctx: Ctx, classes: int, side: dict[str, Any]) -> Recipe:
    """Return the backbone with new heads, whose weights come from a separate stream."""
    params = ctx.params
    backbone = ctx.backbone()
    rate = chosen_drop_path(backbone, params.drop_path, DROP_PATH, ctx.note)
    set_drop_path(backbone, rate)  # before jpm copies the last block
    preprocess = Preprocess(ctx.image_size, params.mean or backbone.mean, params.std or backbone.std)
    with seeded(ctx.seed, "heads"):
        embedder = TransReidEmbedder(
            backbone,
            preprocess,
            params.feature,
            jpm_groups=params.jpm_groups if params.jpm else 0,
            jpm_shift=params.jpm_shift,
            jpm_shuffle=params.jpm_shuffle or params.jpm_groups,
            **side,
        )
        return Recipe(embedder, classes, params)


def _batches(
    ctx: Ctx, source: Split, labels: np.ndarray, preprocess: Preprocess, streams: dict[str, torch.Generator]
) -> Batches:
    params = ctx.params
    sampler = IdentitySampler(labels, params.identities, params.images, streams["order"])
    augment = TrainAugment(params, ctx.image_size[0], preprocess.mean, preprocess.std)
    images, generator = Bicubic(source, ctx.image_size), streams["augmentation"]
    return Batches(images, preprocess, sampler, augment, generator, ctx.workers, device=ctx.fabric.device)


def make_optimiser(network: nn.Module, params: TransReidParams) -> torch.optim.Optimizer:
    """Return SGD or AdamW with two groups: parameters without and with "bias" in their name, at different base rates.

    The neck's frozen bias is in neither. All groups decay, including norms, positions and the CLS token (official
    code).
    """
    trained = [(name, tensor) for name, tensor in network.named_parameters() if tensor.requires_grad]
    groups = [
        {"params": [tensor for name, tensor in trained if ("bias" in name) is biases], "lr": lr}
        for biases, lr in ((False, params.lr), (True, params.lr * params.bias_lr_factor))
    ]
    if params.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
    return torch.optim.AdamW(groups, lr=params.lr, betas=(params.momentum, 0.999), weight_decay=params.weight_decay)
