"""What every clustering method does: embed the target, cluster, train on pseudo labels, again."""

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
    ctx: AdaptContext[Params], pool: str | None = None, *, keep_neck: bool = True
) -> BackboneEmbedder:
    """The recipe's embedder where it has a neck that is to be kept; else its backbone under a fresh neck.

    Without `pool` it pools as the recipe's embedder does. With another pooling the neck is fresh in any case, since it
    does not fit its numbers; with the same the exponent stays as it was learned. The source's classifier is gone.
    """
    start = ctx.start if isinstance(ctx.start, BackboneEmbedder) else None
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
    """Features [N, D] of the images in eval mode, of unit length."""
    return unit(embed(embedder, images, images.camids, device=ctx.fabric.device, workers=ctx.workers))


class PseudoLabelBatches:
    """Batches of pseudo-labelled images, as many as are asked for, however few clusters there are."""

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
        """`iterations` times (images [P * K, 3, H, W], their indices); images labelled -1 never come.

        With `by-size` and fewer clusters than P a batch holds them all; else all batches are full.
        """
        return self.feed.batches(self.indices(labels, generator), generator)

    def indices(self, labels: np.ndarray, generator: torch.Generator) -> Iterator[np.ndarray]:
        """The indices [P * K] of each of these batches."""
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
    """Adam, or SGD with momentum 0.9, over whatever is trained."""
    weights = trained(network)
    if kind == "sgd":
        return torch.optim.SGD(weights, lr=params.lr, momentum=0.9, weight_decay=params.weight_decay)
    return torch.optim.Adam(weights, lr=params.lr, weight_decay=params.weight_decay)


def set_rate(optimiser: torch.optim.Optimizer, params: LoopParams, round_: int) -> None:
    """A tenth of the rate after each `lr_step` of the rounds, whether or not a round trains."""
    step = max(1, round(params.lr_step * params.rounds))
    for group in optimiser.param_groups:
        group["lr"] = params.lr * 0.1 ** (round_ // step)


def describe(labels: np.ndarray) -> dict[str, float]:
    """How many clusters and outliers there are, for the log."""
    return {"clusters": float(labels.max(initial=-1) + 1), "outliers": float((labels < 0).sum())}


def too_few(labels: np.ndarray) -> bool:
    """Whether there is nothing to tell apart: all noise, or one cluster. Such a round is skipped."""
    return int(labels.max(initial=-1)) < 1


def train_rounds(
    ctx: AdaptContext[LoopParams],
    state: Mapping[str, Any],
    cluster: Callable[[], np.ndarray],
    train: Callable[[np.ndarray], float],
    too_few: Callable[[np.ndarray], bool] = too_few,
) -> None:
    """All rounds that are still to run: set the rate, `cluster` to labels [N], `train` on them to a mean loss, log.

    A round that has too few classes is logged and skipped; the harness notes how many there were.
    """
    for round_ in ctx.checkpoint.epochs(ctx.params.rounds, **state):
        set_rate(state["optimiser"], ctx.params, round_)
        labels = cluster()
        ctx.record_clusters(round_, labels)
        found = describe(labels)
        if too_few(labels):
            ctx.log({"round": round_, "skipped": 1.0, **found})
            counts = f"{found['clusters']:.0f} clusters, {found['outliers']:.0f} outliers"
            print(f"round {round_}: {counts}: nothing to tell apart, skipped")
        else:
            ctx.log({"round": round_, "loss": train(labels), **found})
