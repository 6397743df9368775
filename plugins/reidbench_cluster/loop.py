"""The loop of the clustering methods: embed the target, cluster, train on pseudo labels, repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch

from reidbench import AdaptContext, Params
from reidbench.data import HiddenSplit, Split
from reidbench.metrics.products import unit
from reidbench.training import (
    BackboneEmbedder,
    ClassSampler,
    Embedder,
    Endless,
    IdentitySampler,
    Preprocess,
    embed,
    trained,
)
from reidbench.training.batches.augment import bot_augment
from reidbench.training.batches.feed import Feed

from .params import LoopParams


def starting_embedder(
    ctx: AdaptContext[Params], pool: str | None = None, *, keep_neck: bool = True, start: BackboneEmbedder | None = None
) -> BackboneEmbedder:
    """Return the recipe's embedder, or `start`, if its neck is kept, otherwise its backbone with a new neck.

    Without `pool` the recipe's pooling is kept. Another pooling always gets a new neck, since the old statistics do not
    fit; the same pooling keeps its learned exponent. The source's classifier is dropped.
    """
    if start is None and isinstance(ctx.start, BackboneEmbedder):
        start = ctx.start
    before = start.pool_name if start is not None else "backbone"
    pool = pool or before
    if start is not None and keep_neck and start.spec["neck"] and pool == before:
        return start
    backbone = start.backbone if start is not None else ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    embedder = BackboneEmbedder(backbone, preprocess, neck=True, pool=pool)
    if start is not None and pool == before:
        embedder.pool = start.pool
    return embedder


def target_features(embedder: Embedder, images: HiddenSplit | Split, ctx: AdaptContext[Params]) -> np.ndarray:
    """Return unit features [N, D] of the images, in eval mode."""
    return unit(embed(embedder, images, images.camids, device=ctx.fabric.device, workers=ctx.workers))


class PseudoLabelBatches:
    """Yields a requested number of batches of pseudo-labelled images, independent of the number of clusters."""

    def __init__(
        self,
        images: HiddenSplit | Split,
        preprocess: Preprocess,
        params: LoopParams,
        workers: int,
        device: str | torch.device = "cpu",
    ) -> None:
        augment = bot_augment(params.flip, params.pad, params.erase, preprocess.size[0])
        self.feed = Feed(images, preprocess, augment, workers=workers, device=device)
        self.params = params
        self.cameras = images.camids

    def batches(self, labels: np.ndarray, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Yield (images [P * K, 3, H, W], their indices) `iterations` times; images labelled -1 are never used.

        With `by-size` and fewer clusters than P a batch holds them all; otherwise all batches are full.
        """
        return self.feed.batches(self.indices(labels, generator), generator)

    def indices(self, labels: np.ndarray, generator: torch.Generator) -> Iterator[np.ndarray]:
        """Yield the indices [P * K] of each of these batches."""
        inside = np.flatnonzero(labels >= 0)
        for chosen in Endless(self._sampler(inside, labels[inside], generator), self.params.iterations):
            yield inside[chosen]

    def _sampler(self, inside: np.ndarray, labels: np.ndarray, generator: torch.Generator) -> Iterable[np.ndarray]:
        params = self.params
        if params.batches == "by-size":
            return IdentitySampler(labels, params.identities, params.images, generator)
        cameras = self.cameras[inside] if params.batches == "cameras" else None
        return ClassSampler(labels, params.identities * params.images, params.images, generator, cameras)


def make_optimiser(
    network: torch.nn.Module, params: LoopParams, kind: Literal["adam", "sgd"] = "adam"
) -> torch.optim.Optimizer:
    """Return Adam, or SGD with momentum 0.9, over all trained parameters."""
    weights = trained(network)
    if kind == "sgd":
        return torch.optim.SGD(weights, lr=params.lr, momentum=0.9, weight_decay=params.weight_decay)
    return torch.optim.Adam(weights, lr=params.lr, weight_decay=params.weight_decay)


def set_rate(optimiser: torch.optim.Optimizer, params: LoopParams, round_: int) -> None:
    """Divide the rate by 10 after each `lr_step` of the rounds, whether a round trains or is skipped."""
    step = max(1, round(params.lr_step * params.rounds))
    for group in optimiser.param_groups:
        group["lr"] = params.lr * 0.1 ** (round_ // step)


def describe(labels: np.ndarray) -> dict[str, float]:
    """Return the numbers of clusters and outliers, for the log."""
    return {"clusters": float(labels.max(initial=-1) + 1), "outliers": float((labels < 0).sum())}


def too_few(labels: np.ndarray) -> bool:
    """Return whether all images are noise or form a single cluster. Such a round is skipped."""
    return int(labels.max(initial=-1)) < 1


def train_rounds(
    ctx: AdaptContext[LoopParams],
    state: Mapping[str, Any],
    cluster: Callable[[], np.ndarray],
    train: Callable[[np.ndarray], float],
    too_few: Callable[[np.ndarray], bool] = too_few,
) -> None:
    """Run the remaining rounds: set the rate, `cluster` to labels [N], `train` on them to a mean loss, log.

    A round with too few classes is logged and skipped; the harness notes the number of skipped rounds.
    """
    for round_ in ctx.checkpoint.epochs(ctx.params.rounds, **state):
        set_rate(state["optimiser"], ctx.params, round_)
        labels = cluster()
        ctx.record_clusters(round_, labels)
        found = describe(labels)
        if too_few(labels):
            ctx.log({"round": round_, "skipped": 1.0, **found})
            counts = f"{found['clusters']:.0f} clusters, {found['outliers']:.0f} outliers"
            print(f"round {round_}: {counts}: fewer than two clusters, skipped")
        else:
            ctx.log({"round": round_, "loss": train(labels), **found})
