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
    BatchHardTriplet,
    IdentitySampler,
    LabelSmoothingCrossEntropy,
    Preprocess,
    stream,
)
from reidbench.training.networks.droppath import set_drop_path
from reidbench.training.optim.cosine import warmup_cosine

from .embedder import TransReidEmbedder
from .transreid_augment import Bicubic, TrainAugment
from .transreid_params import TransReidParams, TransReidSieParams

CLASSIFIER_STD = 0.001  # small, so that the first cross-entropy is log C


class Loss(NamedTuple):
    """What a step is trained by, and what the log tells of it; all scalars."""

    loss: torch.Tensor
    cross_entropy: torch.Tensor
    triplet: torch.Tensor
    accuracy: torch.Tensor


class Recipe(nn.Module):
    """The embedder with a classifier on each of its vectors: images and labels to the loss.

    With local branches a loss is half the global one and half the mean of the local ones, as in TransReID's code.
    """

    def __init__(self, embedder: TransReidEmbedder, classes: int, params: TransReidParams) -> None:
        super().__init__()
        self.embedder = embedder
        dim = embedder.backbone.dim
        self.classifiers = nn.ModuleList(nn.Linear(dim, classes, bias=False) for _ in embedder.necks)
        for weight in self.classifiers.parameters():
            nn.init.normal_(weight, std=CLASSIFIER_STD)
        self.cross_entropy = LabelSmoothingCrossEntropy(params.label_smoothing)
        self.triplet = BatchHardTriplet(params.margin)
        self.triplet_weight = params.triplet_weight

    def forward(self, images: torch.Tensor, camids: torch.Tensor, labels: torch.Tensor) -> Loss:
        """images [B, 3, H, W], camids [B], labels [B] from 0; the accuracy is that of the global classifier."""
        vectors = self.embedder.vectors(images, camids)
        with torch.autocast(images.device.type, enabled=False):  # distances and logarithms want float32
            return self.losses([vector.float() for vector in vectors], labels)

    def losses(self, vectors: Sequence[torch.Tensor], labels: torch.Tensor) -> Loss:
        """Vectors [B, D], the global one first, to the loss: triplet on them, cross-entropy after their necks."""
        after = self.embedder.after_necks(vectors)
        logits = [classifier(vector) for classifier, vector in zip(self.classifiers, after, strict=True)]
        cross_entropy = _join([self.cross_entropy(one, labels) for one in logits])
        triplet = _join([self.triplet(vector, labels) for vector in vectors])
        accuracy = (logits[0].detach().argmax(1) == labels).float().mean()
        return Loss(cross_entropy + self.triplet_weight * triplet, cross_entropy, triplet, accuracy)


def _join(losses: Sequence[torch.Tensor]) -> torch.Tensor:
    whole, *parts = losses
    return whole if not parts else 0.5 * whole + 0.5 * torch.stack(parts).mean()


def finetune(ctx: FinetuneContext[TransReidParams]) -> TransReidEmbedder:
    """transreid: train on the labelled source; camera ids are not read.

    Raises DataError when the source has fewer than two identities, ReidbenchError for jpm on a backbone without
    tokens and for more than one device.
    """
    return _train(ctx, _source(ctx, "transreid"), {})


def finetune_sie(ctx: FinetuneContext[TransReidSieParams]) -> TransReidEmbedder:
    """transreid-sie: the same with a vector for each camera of the source (side information embedding).

    Raises as `finetune` does, and DataError when no camera of the source is known.
    """
    params: TransReidSieParams = ctx.params
    source = _source(ctx, "transreid-sie")
    cameras = np.unique(source.camids[source.camids != UNKNOWN_CAMERA]).tolist()
    if not cameras:
        raise DataError("transreid-sie needs a source with camera ids")
    coefficient, at_test = params.camera_coefficient, params.camera_at_test
    side = {"cameras": cameras, "camera_coefficient": coefficient, "camera_at_test": at_test}
    return _train(ctx, source, side)


def _source(ctx: FinetuneContext[TransReidParams], name: str) -> Split:
    if ctx.source is None or ctx.source.num_pids < 2:
        raise DataError(f"{name} needs a source of two or more identities")
    if ctx.fabric.world_size != 1:
        raise ReidbenchError(f"{name} runs on one device: set `devices: 1`")
    return ctx.source


def _train(ctx: FinetuneContext[TransReidParams], source: Split, side: dict[str, Any]) -> TransReidEmbedder:
    params: TransReidParams = ctx.params
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
    module, fabric_optimiser = ctx.fabric.setup(recipe, optimiser)
    device = ctx.fabric.device
    targets, cameras = torch.from_numpy(labels).to(device), torch.from_numpy(source.camids).to(device)
    # Drop path draws from the global generator, which the checkpoint holds; here it gets a stream of its own.
    torch.manual_seed(stream(ctx.seed, "drop path").initial_seed())
    recipe.train()
    state = {"recipe": recipe, "optimiser": optimiser, "schedule": schedule, **streams}
    for _ in ctx.checkpoint.epochs(params.epochs, **state):
        sums, steps = torch.zeros(len(Loss._fields)), 0
        for images, indices in batches:
            loss = module(images.to(device), cameras[indices], targets[indices])
            fabric_optimiser.zero_grad()
            ctx.fabric.backward(loss.loss)
            fabric_optimiser.step()
            sums += torch.stack(loss).detach().float().cpu()
            steps += 1
        means = dict(zip(Loss._fields, (sums / steps).tolist(), strict=True))
        ctx.log({**means, "lr": float(schedule.get_last_lr()[0]), "steps": steps})
        schedule.step()
    return recipe.embedder


def _recipe(ctx: FinetuneContext[TransReidParams], classes: int, side: dict[str, Any]) -> Recipe:
    """The backbone with new heads, whose weights come from a stream of their own."""
    params: TransReidParams = ctx.params
    backbone = ctx.backbone()
    set_drop_path(backbone, params.drop_path)  # before jpm copies the last block
    preprocess = Preprocess(ctx.image_size, params.mean or backbone.mean, params.std or backbone.std)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(ctx.seed, "heads").initial_seed())
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
    ctx: FinetuneContext[TransReidParams],
    source: Split,
    labels: np.ndarray,
    preprocess: Preprocess,
    streams: dict[str, torch.Generator],
) -> Batches:
    params: TransReidParams = ctx.params
    sampler = IdentitySampler(labels, params.identities, params.images, streams["order"])
    augment = TrainAugment(params, ctx.image_size[0], preprocess.mean, preprocess.std)
    return Batches(Bicubic(source, ctx.image_size), preprocess, sampler, augment, streams["augmentation"], ctx.workers)


def make_optimiser(network: nn.Module, params: TransReidParams) -> torch.optim.Optimizer:
    """Two groups: parameters without and with "bias" in their name, the latter at another base rate.

    The neck's frozen bias is in neither. All decay alike, norms, positions and the CLS token included (official code).
    """
    trained = [(name, tensor) for name, tensor in network.named_parameters() if tensor.requires_grad]
    groups = [
        {"params": [tensor for name, tensor in trained if ("bias" in name) is biases], "lr": lr}
        for biases, lr in ((False, params.lr), (True, params.lr * params.bias_lr_factor))
    ]
    if params.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
    return torch.optim.AdamW(groups, lr=params.lr, betas=(params.momentum, 0.999), weight_decay=params.weight_decay)
