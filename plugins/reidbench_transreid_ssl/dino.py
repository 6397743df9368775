"""DINO (Caron et al., ICCV 2021) as TransReID-SSL trains it on unlabelled persons; any backbone."""

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
CURE = "a lower teacher_temperature, momentum or out_dim may help on small pools"


def pretrain(ctx: PretrainContext[DinoParams]) -> Backbone:
    """Train on the pool by DINO and return the teacher's backbone.

    On several devices `batch` is that of all together; centre, batch norm and the checks for collapse are of all
    images. Raises DataError when the pool is smaller than a batch; ReidbenchError when the loss is not finite, when the
    outputs stay collapsed beyond `collapse_grace` epochs, and when the batch cannot be divided among the devices.
    """
    run = Run(ctx)
    run.train()
    return run.result()


class Setting(NamedTuple):
    """What changes from step to step: learning rate, weight decay, the teacher's momentum and temperature."""

    lr: float
    weight_decay: float
    momentum: float
    teacher_temperature: float


def setting(params: DinoParams, step: int, steps: int) -> Setting:
    """The setting at `step`, counted over the whole run, with `steps` in an epoch."""
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
    """One pre-training: what stays the same over its epochs."""

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
        """All epochs that are still to run; logs loss, entropies, settings and the monitor's numbers."""
        state = {"networks": self.networks, "loss": self.loss, "optimiser": self.optimiser, **self.streams}
        collapsed = Collapse(self.params.collapse_grace)
        monitor = partial(self.monitor, self.networks.teacher, self.ctx.seed)
        for epoch, line in monitored_epochs(self.ctx, {"collapsed": collapsed, **state}, self.epoch, monitor):
            collapsed.check(collapse(line["teacher_entropy"], line["mean_entropy"], self.params.out_dim), epoch)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train on all whole batches once; the means of loss and entropies, and the settings of the last step."""
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
        """One batch: the teacher sees the whole views [2 B, ...], the student the local ones [L B, ...] as well."""
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
        if torch.isfinite(told.loss):  # of all devices: none of them may go back alone
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
        # Clips nothing, but divides float16's gradients by the scale that they carry, once and before the norms.
        self.update.clip(self.networks.student, math.inf)
        clip_each(self.networks.student.parameters(), self.params.clip)

    def views(self) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """Whole and local views of this device's share of each batch, in a new order; an incomplete last is dropped."""
        for images, originals in self.pool.batches():
            whole = self.augment.whole(images, self.streams["whole views"], self.share, originals).images
            local = None
            if self.params.local_crops:
                local = self.augment.local(images, self.streams["local views"], self.share, originals).images
            yield whole, local

    def result(self) -> Backbone:
        """A fresh backbone with the teacher's weights and buffers."""
        if self.params.keep_state:
            facts = {"params": self.params.model_dump_json(), "seed": str(self.ctx.seed)}
            state = network_state(self.networks, self.loss.center, self.params.epochs)
            save_file(state, self.ctx.out / "dino.safetensors", facts)
        backbone: Backbone = self.ctx.backbone()
        backbone.load_state_dict(self.networks.teacher.backbone.state_dict())
        backbone.mean, backbone.std = self.params.mean, self.params.std
        return self.ctx.fabric.to_device(backbone)  # type: ignore[no-any-return]


class Collapse:
    """Counts epochs in a row that were collapsed, and stops the run beyond `grace`; part of the checkpoint."""

    def __init__(self, grace: int) -> None:
        self.grace = grace
        self.epochs = 0

    def check(self, kind: str, epoch: int) -> None:
        """Take note of an epoch with `kind` of collapse, "" for none. Raises ReidbenchError beyond the grace."""
        self.epochs = self.epochs + 1 if kind else 0
        if self.epochs > self.grace:
            raise ReidbenchError(f"collapsed for {self.epochs} epochs up to epoch {epoch + 1}: {kind}; {CURE}")

    def state_dict(self) -> dict[str, int]:
        """For the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """From the checkpoint."""
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
