"""Training loop of contrastive pretrainers: views of the pool, optimiser, monitor, checkpoint, and the backbone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from safetensors.torch import save_file

from reidbench.contexts import PretrainContext
from reidbench.training.batches.crops import row_overlap
from reidbench.training.devices import average, average_batch_norm, this_share
from reidbench.training.networks.backbone import Backbone
from reidbench.training.networks.heads import Encoder, ProjectionHead
from reidbench.training.networks.splitnorm import part_batch_norm, reestimate_batch_norm, split_batch_norm
from reidbench.training.optim.loop import Means
from reidbench.training.optim.update import Update
from reidbench.training.random import seeded, stream

from .heldout import retrieval
from .moco import ContrastiveStep, MomentumEncoders, Views, cosine_per_epoch, moco_state
from .params import ContrastiveParams
from .pool import Pictures, Pool, monitored_epochs, on_cpu_ahead
from .views import ViewAugment

MakeStep = Callable[[MomentumEncoders, Any, int], ContrastiveStep]  # with the params of its component
OVERLAP_ROWS = 4  # the patch rows of UP-ReID, for which the overlap of two views is measured


def pretrain(ctx: PretrainContext[ContrastiveParams], make_step: MakeStep) -> Backbone:
    """Train the step `make_step(encoders, params, seed)` on the pool and return the online backbone.

    Each purpose has a separate random generator: order, first view, second view, and those of the step. On several
    devices `batch` is the total, and loss, keys and queue equal those of one device. Raises DataError if the pool is
    smaller than a batch, ReidbenchError if batch or splits cannot be divided among the devices.
    """
    run = _Run(ctx, make_step)
    run.train()
    return run.result()


class _Run:
    """One pre-training run."""

    def __init__(self, ctx: PretrainContext[ContrastiveParams], make_step: MakeStep) -> None:
        self.ctx = ctx
        self.params = ctx.params
        self.share = this_share()
        self.augment = ViewAugment(self.params)
        self.pool = Pool(ctx, "a contrastive pretrainer")
        self.streams = {name: stream(ctx.seed, name) for name in ("first view", "second view")}
        self.streams["order"] = self.pool.order
        self.step = ctx.fabric.to_device(make_step(_encoders(ctx), self.params, ctx.seed))
        self.optimiser: torch.optim.Optimizer = torch.optim.SGD(
            self.step.encoders.online.parameters(),
            lr=self.params.start_lr,
            momentum=self.params.momentum,
            weight_decay=self.params.weight_decay,
        )
        self.schedule = cosine_per_epoch(self.optimiser, self.params.epochs)
        self.update = Update(ctx.fabric, self.optimiser)

    def train(self) -> None:
        """Run the remaining epochs; log loss, learning rate, row overlap and the monitor's results."""
        generators = {**self.streams, **self.step.generators}
        state = {"step": self.step, "optimiser": self.optimiser, "schedule": self.schedule, **generators}
        for _ in monitored_epochs(self.ctx, state, self._epoch, self.monitor):
            self.schedule.step()

    def _epoch(self, epoch: int) -> dict[str, float]:
        self.step.train()
        means = Means()
        for views, overlap in on_cpu_ahead(self.ctx, self._batches()):
            with self.update.precision():
                output = self.step(views)
            self.update(output.loss)
            # After backward, since the gradient depends on the queue that the logits were computed with.
            self.step.queue.enqueue(output.keys)
            means.add({"loss": output.loss, "row_overlap": overlap, **output.facts})
        average_batch_norm(self.step.encoders)
        line = means.values()
        if self.share.ranks > 1:
            told = average(torch.tensor(list(line.values()), dtype=torch.float64, device=self.ctx.fabric.device))
            line = dict(zip(line, told.tolist(), strict=True))
        return {**line, "lr": float(self.schedule.get_last_lr()[0]), "steps": float(means.steps)}

    def _batches(self) -> Iterator[tuple[Views, torch.Tensor]]:
        """Views, and the mean overlap of corresponding rows."""
        for images, originals in self.pool.batches():
            first, first_boxes = self.augment(images, self.streams["first view"], self.share, originals)
            second, second_boxes = self.augment(images, self.streams["second view"], self.share, originals)
            overlap = row_overlap(first_boxes, second_boxes, OVERLAP_ROWS).mean()
            yield Views(first, second, self.augment.normalise(images)), overlap

    # ------------------------------------------------------------------ the monitor
    @torch.no_grad()
    def monitor(self) -> dict[str, float]:
        """Rank 1 of retrieving another view of a held-out image among all held-out images' other views (`retrieval`).

        Uses the same views every time, and batch norm fitted to views; {} if nothing is held out. On several devices
        the first one measures for all.
        """
        pool = self.pool
        if len(pool.held_out) < 2 or self.share.rank > 0:
            return {}
        encoder: Encoder = copy.deepcopy(self.step.encoders.online)
        split_batch_norm(part_batch_norm(encoder), self.params.splits)  # on one device, it normalises whole batches
        views = stream(self.ctx.seed, "monitor")

        def viewed(pictures: Iterator[Pictures]) -> Iterator[torch.Tensor]:
            return (self.augment(images, views, originals=originals)[0] for images, originals in pictures)

        reestimate_batch_norm(encoder, viewed(pool.plain(pool.seen, 10)))
        encoder.eval()
        firsts, seconds = (
            torch.cat([encoder.backbone(view).vector for view in viewed(pool.plain(pool.held_out))]) for _ in range(2)
        )
        return retrieval(firsts, seconds, encoder.head)

    # ------------------------------------------------------------------ the result
    def result(self) -> Backbone:
        """New backbone with the online encoder's weights and batch norm fitted to unaugmented images."""
        if self.params.keep_state:
            facts = {"params": self.params.model_dump_json(), "seed": str(self.ctx.seed)}
            save_file(moco_state(self.step), self.ctx.out / "moco.safetensors", facts)
        backbone: Backbone = self.ctx.backbone()
        trained: Encoder = self.step.encoders.online
        backbone.load_state_dict(trained.backbone.state_dict())
        backbone.mean, backbone.std = self.params.mean, self.params.std
        backbone.spec["preset"] = self.params.preset
        self.ctx.fabric.to_device(backbone)
        if self.params.clean_batches:
            images = self.pool.plain(self.pool.seen, self.params.clean_batches)
            reestimate_batch_norm(backbone, (self.augment.normalise(pictures.images) for pictures in images))
        return backbone


def _encoders(ctx: PretrainContext[ContrastiveParams]) -> MomentumEncoders:
    params = ctx.params
    backbone: Backbone = ctx.backbone()
    with seeded(ctx.seed, "head"):
        head = ProjectionHead(backbone.dim, params.dim, mlp=params.head == "mlp", norm=params.head_norm)
    return MomentumEncoders(Encoder(backbone, head), momentum=params.key_momentum, splits=params.splits)
