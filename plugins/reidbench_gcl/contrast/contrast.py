"""The loop of all arms (cluster the memory, contrast batches with it, update their rows), and the plain arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from reidbench import AdaptContext
from reidbench.errors import DataError
from reidbench.training import Augment, Embedder, Endless, Means, ShuffledSampler, Update, embed, stream
from reidbench.training.batches.feed import Feed

from ..params import ContrastParams, RealParams
from .identity import starting_encoder
from .memory import OUTLIER, MemoryBank, Pairs, draw_pairs
from .view_losses import contrast_terms

DRAWS = ("order", "mates", "view mates", "negatives")
Facts = dict[str, float]


def shuffled(rows: np.ndarray, batch: int, steps: int | None, generator: torch.Generator) -> Iterator[np.ndarray]:
    """`steps` batches of `rows` in random order, pass after pass, or one pass; incomplete batches are dropped.

    With fewer rows than a batch, the batch holds them all; with fewer than two there is none: batch norm needs two.
    """
    if min(batch, len(rows)) < 2:
        return
    sampler = ShuffledSampler(len(rows), batch, generator)
    for chosen in Endless(sampler, steps if steps is not None else len(sampler)):
        yield rows[chosen]


class Arm:
    """Contrast of the real images with the memory: GCL without its generator.

    Every arm takes the same steps on batches of the same clusters. Order, mates and negatives have separate random
    streams, so that arms differ only in what they compare.
    """

    warmup = 0  # epochs before the memory is filled
    draws: tuple[str, ...] = DRAWS

    def __init__(self, ctx: AdaptContext[ContrastParams], missing: tuple[int, ...] = ()) -> None:
        self.ctx = ctx
        self.params = ctx.params
        self.kept = np.setdiff1d(np.arange(len(ctx.target)), np.array(missing, dtype=np.int64))
        self.images = ctx.target.subset(self.kept)
        if len(self.images) < 2:
            raise DataError(f"gcl needs two or more target images, but the target has {len(self.images)} to train on")
        self.device = ctx.fabric.device
        self.identity = starting_encoder(ctx).to(self.device)
        self.embedder: Embedder = self.identity.embedder
        self.feat_dim, dim = self.identity.widths(ctx.image_size)
        self.bank = MemoryBank(len(self.images), dim, self.params.alpha).to(self.device)
        preprocess, augment = self.embedder.preprocess, self.augment()
        self.feed = Feed(self.images, preprocess, augment, workers=ctx.workers, device=self.device)
        self.streams = {name: stream(ctx.seed, f"gcl {name}") for name in self.draws}
        self._optimiser()

    def _optimiser(self) -> None:
        params = self.params
        self.trained = [parameter for parameter in self.identity.parameters() if parameter.requires_grad]
        self.optimiser: torch.optim.Optimizer = torch.optim.SGD(
            self.trained,
            lr=params.lr,
            momentum=params.momentum,
            weight_decay=params.identity_weight_decay,
            nesterov=True,
        )
        self.update = Update(self.ctx.fabric, self.optimiser)

    def state(self) -> dict[str, Any]:
        """Return the state from which a killed run resumes."""
        return {"identity": self.embedder, "bank": self.bank, "optimiser": self.optimiser, **self.streams}

    # ------------------------------------------------------------------ epochs
    def train(self) -> None:
        """Train all remaining epochs, with a log line for each."""
        for epoch in self.ctx.checkpoint.epochs(self.warmup + self.params.epochs, **self.state()):
            self.ctx.log({"epoch": epoch, **self.line(epoch)})
        self.embedder.eval()

    def line(self, epoch: int) -> Facts:
        """Train an epoch, counted from 0 and including the warm-up; return its log line."""
        return self.epoch(epoch)

    def epoch(self, number: int) -> Facts:
        """Cluster the memory, then train on the clustered images; with fewer than two of them take no step."""
        if number == 0:
            self.bank.fill(torch.from_numpy(self.features()).to(self.device))
        self.set_rate(number)
        params = self.params
        eps = self.bank.relabel(k1=params.k1, k2=params.k2, rho=params.rho, min_samples=params.min_samples)
        labels = self.bank.labels.cpu().numpy()
        self._record(number, labels)
        line = {"stage": 3.0, "lr": self.optimiser.param_groups[0]["lr"], "eps": eps, **describe(labels)}
        self.set_modes(joint=True)
        clustered = np.flatnonzero(labels != OUTLIER)
        means = Means()
        order = shuffled(clustered, params.batch, params.iterations, self.streams["order"])
        for images, indices in self.batches(order):
            means.add(self.step(indices, images))
        untrained = {} if means.steps else {"skipped": 1.0}  # the harness notes a skipped epoch
        return {**line, **untrained, "steps": float(means.steps), **means.values()}

    def set_rate(self, number: int) -> None:
        """Divide the encoder's rate by 10 after each milestone, whether or not an epoch takes steps."""
        passed = sum(number >= round(milestone * self.params.epochs) for milestone in self.params.milestones)
        for group in self.optimiser.param_groups:
            group["lr"] = self.params.lr * 0.1**passed

    def _record(self, number: int, labels: np.ndarray) -> None:
        everyone = np.full(len(self.ctx.target), OUTLIER)
        everyone[self.kept] = labels
        self.ctx.record_clusters(number, everyone)

    def features(self) -> np.ndarray:
        """Return features [N, D] of the training images in eval mode, not normalised."""
        return embed(self.embedder, self.images, self.images.camids, device=self.device, workers=self.ctx.workers)

    def set_modes(self, joint: bool) -> None:
        """Set networks to train mode for an epoch."""
        self.identity.train(joint)

    # ------------------------------------------------------------------ a step
    def step(self, indices: np.ndarray, images: torch.Tensor) -> Facts:
        """Take an encoder step on images [B, 3, H, W] with indices [B]; then update their memory rows."""
        with self.update.precision():
            _, f = self.identity(images)
        terms = self.contrast(indices, f, None)
        self.update(total(terms))
        self.refresh(indices, f)
        return values(terms)

    def augment(self) -> Augment | None:
        """Return the augmentation of images; by default there is none."""
        return None

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Return images [B, 3, H, W] on the device and their indices, for each index array."""
        return self.feed.batches(order, self.streams.get("augmentation"))

    def pictures(self, indices: np.ndarray) -> torch.Tensor:
        """Return normalised images [B, 3, H, W] on the device, outside an epoch's batches."""
        return self.feed.make(self.feed.plan(indices, self.streams.get("augmentation")))

    def contrast(self, indices: np.ndarray, f: torch.Tensor, f_new: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Return the loss terms of a batch, computed before the update of their memory rows."""
        rows = torch.from_numpy(indices)
        pairs = draw_pairs(self.bank.labels.cpu(), rows, self.params.negatives, self.streams)
        return contrast_terms(
            f,
            f_new,
            self.bank.rows,
            rows.to(self.device),
            Pairs(*(part.to(self.device) for part in pairs)),
            temperature=self.params.temperature,
            terms=getattr(self.params, "terms", ("real-mate",)),
            own_negatives=getattr(self.params, "own_negatives", False),
        )

    def refresh(self, indices: np.ndarray, f: torch.Tensor) -> None:
        """Update the batch's own rows, from its original images only."""
        self.bank.update(torch.from_numpy(indices).to(self.device), f.detach())


class RealArm(Arm):
    """gcl-contrast: real images only, augmented on request."""

    params: RealParams
    draws = (*DRAWS, "augmentation")

    def augment(self) -> Augment | None:
        """Flips, crops and erases with `augment: classic`."""
        if self.params.augment != "classic":
            return None
        return Augment(pad=max(1, round(10 * self.ctx.image_size[0] / 256)))


def describe(labels: np.ndarray) -> Facts:
    """Return the numbers of clusters and outliers and the share of images in a cluster."""
    inside = float((labels != OUTLIER).mean())
    return {"clusters": float(labels.max() + 1), "outliers": float((labels == OUTLIER).sum()), "inliers": inside}


def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the sum of all losses."""
    return torch.stack(list(losses.values())).sum()


def values(losses: dict[str, torch.Tensor]) -> Facts:
    """Return the losses as numbers."""
    return {name: float(loss.detach()) for name, loss in losses.items()}
