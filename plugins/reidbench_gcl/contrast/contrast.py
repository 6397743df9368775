"""The loop that all arms share: cluster the memory, contrast batches with it, refresh their rows; and its plain arm."""

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
    """`steps` batches of `rows` in random order, pass after pass, or those of one pass; the rest of a pass is dropped.

    Of fewer rows than a batch all come; of fewer than two none, since batch norm needs two.
    """
    if min(batch, len(rows)) < 2:
        return
    sampler = ShuffledSampler(len(rows), batch, generator)
    for chosen in Endless(sampler, steps if steps is not None else len(sampler)):
        yield rows[chosen]


class Arm:
    """Contrast of the images alone with the memory: GCL without its generator.

    Every arm takes the same steps on the same clusters' batches; order, mates and negatives have random streams of
    their own, so that arms differ in what they compare and in nothing else.
    """

    warmup = 0  # epochs before the memory is filled
    draws: tuple[str, ...] = DRAWS

    def __init__(self, ctx: AdaptContext[ContrastParams], missing: tuple[int, ...] = ()) -> None:
        self.ctx = ctx
        self.params = ctx.params
        self.kept = np.setdiff1d(np.arange(len(ctx.target)), np.array(missing, dtype=np.int64))
        self.images = ctx.target.subset(self.kept)
        if len(self.images) < 2:
            raise DataError(f"gcl needs two or more target images, this target has {len(self.images)} to train on")
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
        """Everything that a killed training needs to go on."""
        return {"identity": self.embedder, "bank": self.bank, "optimiser": self.optimiser, **self.streams}

    # ------------------------------------------------------------------ epochs
    def train(self) -> None:
        """All epochs that are still to run; one line of the log for each."""
        for epoch in self.ctx.checkpoint.epochs(self.warmup + self.params.epochs, **self.state()):
            self.ctx.log({"epoch": epoch, **self.line(epoch)})
        self.embedder.eval()

    def line(self, epoch: int) -> Facts:
        """Train an epoch, counted from 0 and warm-up included; what the log says of it."""
        return self.epoch(epoch)

    def epoch(self, number: int) -> Facts:
        """Cluster the memory, then train on what is in a cluster; without two such images there is no step."""
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
        untrained = {} if means.steps else {"skipped": 1.0}  # which the harness notes
        return {**line, **untrained, "steps": float(means.steps), **means.values()}

    def set_rate(self, number: int) -> None:
        """A tenth of the encoder's rate after each milestone, whether or not an epoch takes steps."""
        passed = sum(number >= round(milestone * self.params.epochs) for milestone in self.params.milestones)
        for group in self.optimiser.param_groups:
            group["lr"] = self.params.lr * 0.1**passed

    def _record(self, number: int, labels: np.ndarray) -> None:
        everyone = np.full(len(self.ctx.target), OUTLIER)
        everyone[self.kept] = labels
        self.ctx.record_clusters(number, everyone)

    def features(self) -> np.ndarray:
        """Features [N, D] of the training images in eval mode, not normalised."""
        return embed(self.embedder, self.images, self.images.camids, device=self.device, workers=self.ctx.workers)

    def set_modes(self, joint: bool) -> None:
        """Networks to train mode for an epoch."""
        self.identity.train(joint)

    # ------------------------------------------------------------------ a step
    def step(self, indices: np.ndarray, images: torch.Tensor) -> Facts:
        """One step of the encoder on images [B, 3, H, W] and their indices [B]; their memory rows move after it."""
        with self.update.precision():
            _, f = self.identity(images)
        terms = self.contrast(indices, f, None)
        self.update(total(terms))
        self.refresh(indices, f)
        return values(terms)

    def augment(self) -> Augment | None:
        """How images are augmented; by default they are the same whenever they are fetched."""
        return None

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Images [B, 3, H, W] on the device and their indices, for each index array."""
        return self.feed.batches(order, self.streams.get("augmentation"))

    def pictures(self, indices: np.ndarray) -> torch.Tensor:
        """Normalised images [B, 3, H, W] on the device, outside of an epoch's batches."""
        return self.feed.make(self.feed.plan(indices, self.streams.get("augmentation")))

    def contrast(self, indices: np.ndarray, f: torch.Tensor, f_new: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """The terms of a batch, against the bank as it is before their rows move."""
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
        """Only the batch's own rows move, and only by its original images."""
        self.bank.update(torch.from_numpy(indices).to(self.device), f.detach())


class RealArm(Arm):
    """gcl-contrast: images alone, augmented if asked for."""

    params: RealParams
    draws = (*DRAWS, "augmentation")

    def augment(self) -> Augment | None:
        """Flips, crops and erases under `augment: classic`."""
        if self.params.augment != "classic":
            return None
        return Augment(pad=max(1, round(10 * self.ctx.image_size[0] / 256)))


def describe(labels: np.ndarray) -> Facts:
    """Clusters, outliers and the share of images in a cluster."""
    inside = float((labels != OUTLIER).mean())
    return {"clusters": float(labels.max() + 1), "outliers": float((labels == OUTLIER).sum()), "inliers": inside}


def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    """The sum of all losses."""
    return torch.stack(list(losses.values())).sum()


def values(losses: dict[str, torch.Tensor]) -> Facts:
    """Losses as numbers."""
    return {name: float(loss.detach()) for name, loss in losses.items()}
