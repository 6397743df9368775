"""DINO (Caron et al., ICCV 2021) as TransReID-SSL trains it on unlabelled images of persons; any backbone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from safetensors.torch import save_file

from reidbench import PretrainContext
from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, Means, Update, seeded, stream
from reidbench.training.contrastive.pool import Pool, monitored_epochs, on_cpu_ahead
from reidbench.training.devices import average, this_share
from reidbench.training.networks.droppath import chosen_drop_path
from reidbench.training.networks.splitnorm import join_batch_norm
from reidbench.training.random import drawing_from

from .dino_head import DinoHead
from .dino_loss import DinoLoss, LossOutput, collapse, cosine_schedule, warmed_up
from .dino_monitor import Monitor
from .dino_networks import Networks, clip_each, decay_groups, freeze_last_layer, network_state
from .multicrop import MultiCrop
from .params import DROP_PATH, DinoParams

STREAMS = ("whole views", "local views", "drop path")
CURE = "on small pools try a lower teacher_temperature, momentum or out_dim"


def pretrain(ctx: PretrainContext[DinoParams]) -> Backbone:
    """Train on the pool by DINO and return the teacher's backbone.

    `batch` is the total over all devices; centre, batch norm and the checks for collapse use all images. Raises
    DataError if the pool is smaller than a batch; ReidbenchError if the loss is not finite, if the outputs stay
    collapsed for more than `collapse_grace` epochs, or if the batch cannot be divided among the devices.
    """
    run = Run(ctx)
    run.train()
    return run.result()


class Setting(NamedTuple):
    """Values that change at every step: learning rate, weight decay, the teacher's momentum and temperature."""

    lr: float
    weight_decay: float
    momentum: float
    teacher_temperature: float


def setting(params: DinoParams, step: int, steps: int) -> Setting:
    """Return the setting at `step`, counted over the whole run, with `steps` per epoch."""
    total = params.epochs * steps
    decay = params.weight_decay
    start, end = params.warmup_teacher_temperature, params.teacher_temperature
    return Setting(
        cosine_schedule(step, total, params.peak_lr, params.final_lr, warmup=params.warmup_epochs * steps),
        cosine_schedule(step, total, *decay),
        cosine_schedule(step, total, params.momentum, 1.0),
        warmed_up(step // steps, start, end, params.warmup_teacher_epochs),
    )


class Run:
    """One pre-training run: its data, networks and schedules."""

    def __init__(self, ctx: PretrainContext[DinoParams]) -> None:
        self.ctx = ctx
        self.params = ctx.params
        self.share = this_share()
        self.augment = MultiCrop(self.params, ctx.image_size)
        self.pool = Pool(ctx, "dino")
        self.steps = len(self.pool.seen) // self.params.batch
        self.streams = {"order": self.pool.order, **{name: stream(ctx.seed, name) for name in STREAMS}}
        self.monitor = Monitor(self.augment, self.pool)
        self.networks = join_batch_norm(ctx.fabric.to_device(_networks(ctx)).train())
        loss = DinoLoss(
            self.params.out_dim,
            student_temperature=self.params.student_temperature,
            centre_momentum=self.params.centre_momentum,
        )
        self.loss: DinoLoss = ctx.fabric.to_device(loss)
        self.optimiser = torch.optim.AdamW(decay_groups(self.networks.student))
        self.update = Update(ctx.fabric, self.optimiser)

    def train(self) -> None:
        """Train all remaining epochs; log loss, entropies, settings and the monitor's numbers."""
        state = {"networks": self.networks, "loss": self.loss, "optimiser": self.optimiser, **self.streams}
        collapsed = Collapse(self.params.collapse_grace)
        monitor = partial(self.monitor, self.networks.teacher, self.ctx.seed)
        for epoch, line in monitored_epochs(self.ctx, {"collapsed": collapsed, **state}, self.epoch, monitor):
            collapsed.check(collapse(line["teacher_entropy"], line["mean_entropy"], self.params.out_dim), epoch)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train on all full batches once; return means of loss and entropies, and the settings of the last step."""
        means = Means()
        now = setting(self.params, 0, self.steps)
        for number, (whole, local) in enumerate(on_cpu_ahead(self.ctx, self.views())):
            now = setting(self.params, epoch * self.steps + number, self.steps)
            output = self.step(whole, local, now, frozen=epoch < self.params.freeze_last_layer)
            if not math.isfinite(loss := float(output.loss)):
                raise ReidbenchError(f"the loss is {loss} at epoch {epoch + 1}, step {number + 1}; lower base_lr")
            means.add({"loss": loss, "teacher_entropy": output.entropy, "mean_entropy": output.mean_entropy})
        return {**means.values(), "steps": float(self.steps), **now._asdict()}

    def step(self, whole: torch.Tensor, local: torch.Tensor | None, now: Setting, *, frozen: bool) -> LossOutput:
        """Train on one batch: the teacher sees whole views [2 B, ...], the student also local ones [L B, ...]."""
        for group in self.optimiser.param_groups:
            group["lr"] = now.lr
        self.optimiser.param_groups[0]["weight_decay"] = now.weight_decay
        networks = self.networks
        views = [whole] if local is None else [whole, local]
        with self.update.precision(), drawing_from(self.streams["drop path"], self.ctx.fabric.device, self.share.rank):
            with torch.no_grad():
                targets = networks.teacher(whole)
            outputs = networks.student(*views)
        output: LossOutput = self.loss(outputs, targets, now.teacher_temperature)
        told = LossOutput(*(average(value.detach()) for value in output))
        if torch.isfinite(told.loss):  # of all devices: none of them may step back alone
            self.update.backward(output.loss)
            self._clip()
            if frozen:
                freeze_last_layer(networks.student)
            self.update.step()
            networks.follow(now.momentum)
        return told

    def _clip(self) -> None:
        if self.params.clip == 0:
            return
        # Does not clip, but unscales float16 gradients once, before the norms are computed.
        self.update.clip(self.networks.student, math.inf)
        clip_each(self.networks.student.parameters(), self.params.clip)

    def views(self) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """Yield whole and local views of this device's share of each shuffled batch; an incomplete batch is dropped."""
        for images, originals in self.pool.batches():
            whole = self.augment.whole(images, self.streams["whole views"], self.share, originals).images
            local = None
            if self.params.local_crops:
                local = self.augment.local(images, self.streams["local views"], self.share, originals).images
            yield whole, local

    def result(self) -> Backbone:
        """Return a new backbone with the teacher's weights and buffers."""
        if self.params.keep_state:
            facts = {"params": self.params.model_dump_json(), "seed": str(self.ctx.seed)}
            state = network_state(self.networks, self.loss.center, self.params.epochs)
            save_file(state, self.ctx.out / "dino.safetensors", facts)
        backbone: Backbone = self.ctx.backbone()
        backbone.load_state_dict(self.networks.teacher.backbone.state_dict())
        backbone.mean, backbone.std = self.params.mean, self.params.std
        return self.ctx.fabric.to_device(backbone)  # type: ignore[no-any-return]


class Collapse:
    """Counts consecutive collapsed epochs, and stops the run after `grace`; part of the checkpoint."""

    def __init__(self, grace: int) -> None:
        self.grace = grace
        self.epochs = 0

    def check(self, kind: str, epoch: int) -> None:
        """Record an epoch's `kind` of collapse, "" for none. Raises ReidbenchError after the grace."""
        self.epochs = self.epochs + 1 if kind else 0
        if self.epochs > self.grace:
            raise ReidbenchError(f"collapsed for {self.epochs} epochs up to epoch {epoch + 1}: {kind}; {CURE}")

    def state_dict(self) -> dict[str, int]:
        """Return the state for the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the state from the checkpoint."""
        self.epochs = state["epochs"]


def _networks(ctx: PretrainContext[DinoParams]) -> Networks:
    params = ctx.params
    backbone: Backbone = ctx.backbone()
    with seeded(ctx.seed, "head"):
        head = DinoHead(
            backbone.dim,
            params.out_dim,
            hidden=params.hidden_dim,
            bottleneck=params.bottleneck_dim,
            norm_last_layer=params.norm_last_layer,
        )
    return Networks(backbone, head, drop_path=chosen_drop_path(backbone, params.drop_path, DROP_PATH, ctx.note))
