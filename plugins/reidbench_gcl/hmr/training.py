"""`hmr-training`: trains the regressor on a rendered pool, whose bodies are known."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import torch

from reidbench import PrepareContext
from reidbench.errors import DataError, ReidbenchError
from reidbench.rendering import humanoid
from reidbench.training import (
    Means,
    Preprocess,
    ShuffledSampler,
    Update,
    cosine_per_epoch,
    image_source,
    seeded,
    stream,
)
from reidbench.training.batches.reading import made_ahead, upload
from reidbench.training.contrastive.heldout import hold_out

from .bodies import Bodies, BodyAugment, errors_of_the_mean, joint_errors, shown_persons, yaw_errors
from .fitting import fit, fitted_sheet
from .network import Fitted, NetworkSpec, Regressor, load_encoder, mean_theta, save_regressor, split_theta
from .params import HMRTrainingParams

SHEET = "fitted.png"
FACTS = "training.json"


def prepare(ctx: PrepareContext[HMRTrainingParams]) -> None:
    """Train on the pool's images that show a person and write the regressor.

    Writes `regressor.safetensors` (with its description, also as `regressor.json`), `training.json` (opaque ids of the
    held-out images, errors on them), and `fitted.png` (held-out persons with the bodies fitted to them). Raises
    DataError for a pool without enough persons or without known bodies.
    """
    run = Training(ctx)
    run.train()
    run.write()


class Training:
    """One training run: its data, network and optimiser."""

    def __init__(self, ctx: PrepareContext[HMRTrainingParams]) -> None:
        if ctx.fabric.world_size != 1:
            raise ReidbenchError("hmr-training trains on one device: set `devices: 1`")
        self.ctx = ctx
        self.params = ctx.params
        self.aspect = ctx.image_size[0] / ctx.image_size[1]
        self.persons = np.array(shown_persons(ctx.truth, len(ctx.split)), dtype=np.int64)
        self.seen, self.held_out = hold_out(len(self.persons), self.params.held_out, ctx.seed)
        if len(self.seen) < self.params.batch:
            raise DataError(
                f"the pool has {len(self.seen)} training images of persons, fewer than one batch of "
                f"{self.params.batch}: lower batch or use a larger pool"
            )
        self.bodies = Bodies.read(ctx.truth, self.persons.tolist(), ctx.progress)
        self.preprocess = Preprocess(ctx.image_size)
        self.fetch = image_source(ctx.split, ctx.image_size, workers=ctx.workers)
        self.augment = BodyAugment(self.params, self.preprocess)
        self.streams = {name: stream(ctx.seed, f"hmr {name}") for name in ("order", "augment")}
        self._build()

    def _build(self) -> None:
        params = self.params
        names = ("backbone", "width", "grid", "hidden", "dropout", "iterations")
        spec = NetworkSpec(self.preprocess, **{name: getattr(params, name) for name in names})
        with seeded(self.ctx.seed, "hmr network"):
            self.regressor: Regressor = self.ctx.fabric.to_device(Regressor(spec))
        if params.encoder_weights is not None:
            load_encoder(self.regressor, params.encoder_weights)
        self.regressor.mean.copy_(self._mean())
        self.optimiser = torch.optim.AdamW(self.regressor.parameters(), lr=params.lr, weight_decay=params.weight_decay)
        self.schedule = cosine_per_epoch(self.optimiser, params.epochs)
        self.update = Update(self.ctx.fabric, self.optimiser)

    def _mean(self) -> torch.Tensor:
        """Return theta of the mean training person: camera and root's columns are means over the images."""
        bodies = self.bodies.rows(torch.from_numpy(self.seen))
        camera = cameras(bodies, self.aspect).mean(0)
        root = bodies.root[..., :2].mean(0).t().flatten()
        return mean_theta(camera.tolist(), root.tolist())

    # ------------------------------------------------------------------ training
    def train(self) -> None:
        """Train all remaining epochs; log every loss, the rate and the errors on held-out images."""
        params = self.params
        state = {
            "regressor": self.regressor, "optimiser": self.optimiser, "schedule": self.schedule, **self.streams,
        }  # fmt: skip
        for epoch in self.ctx.checkpoint.epochs(params.epochs, **state):
            line = self._epoch(epoch)
            line["lr"] = float(self.schedule.get_last_lr()[0])
            if (epoch + 1) % params.monitor_every == 0 or epoch + 1 == params.epochs:
                line |= self.errors()
            self.ctx.log(line)
            self.schedule.step()

    def _epoch(self, epoch: int) -> dict[str, float]:
        self.regressor.train()
        means = Means()
        with seeded(self.ctx.seed, f"hmr dropout {epoch}", self.ctx.fabric.device):
            for images, bodies in self._batches():
                with self.update.precision():
                    theta = self.regressor(images).float()
                parts = self.losses(split_theta(theta), bodies)
                loss = torch.stack(list(parts.values())).sum()
                self.update.backward(loss)
                # Where a root's first column is nearly 0, as in the mean, normalising it gives gradients of any length.
                self.update.clip(self.regressor, self.params.clip)
                self.update.step()
                means.add({"loss": loss, **parts})
        return means.values()

    def _batches(self) -> Iterator[tuple[torch.Tensor, Bodies]]:
        return made_ahead(self._made(), self.ctx.workers)

    def _made(self) -> Iterator[tuple[torch.Tensor, Bodies]]:
        device = self.ctx.fabric.device
        for chosen in ShuffledSampler(len(self.seen), self.params.batch, self.streams["order"]):
            rows = self.seen[chosen]
            pixels, found = self.fetch(self.persons[rows]), self.bodies.rows(torch.from_numpy(rows))
            images, bodies = self.augment(upload(pixels, device), found, self.streams["augment"])
            yield images, bodies.to(device)

    def losses(self, found: Fitted, wanted: Bodies) -> dict[str, torch.Tensor]:
        """Weighted losses: joints in the image and in space (L1), the root's rotation, girths, and a prior.

        The prior is the square of shape numbers and of the bones' rotations from rest: twisting an arm about its own
        axis moves no joint, so no other loss constrains it.
        """
        params = self.params
        joints = found.joints()
        flat = found.project(joints, self.aspect)
        girths = humanoid.girths(found.shape) / wanted.girths - 1
        still = found.pose[:, 1:] - torch.eye(3, device=joints.device)
        return {
            "joints2d": params.joints2d_weight * (flat - wanted.joints2d).abs().mean(),
            "joints": params.joints_weight * (joints - wanted.joints).abs().mean(),
            "root": params.root_weight * (found.pose[:, 0] - wanted.root).square().sum((1, 2)).mean(),
            "shape": params.shape_weight * girths.square().mean(),
            "prior": params.prior_weight * (found.shape.square().mean() + still.square().sum((2, 3)).mean()),
        }

    # ------------------------------------------------------------------ judgement
    def errors(self) -> dict[str, float]:
        """On held-out images: mean yaw error (degrees) and joint error (body heights), and those of the mean body."""
        if not len(self.held_out):
            return {}
        found = fit(self.regressor, self.ctx.split, self.persons[self.held_out], self.ctx.workers)
        wanted = self.bodies.rows(torch.from_numpy(self.held_out))
        mean = errors_of_the_mean(wanted)
        return {
            "held_out_yaw": float(yaw_errors(humanoid.yaw(found.pose[:, 0]), humanoid.yaw(wanted.root)).mean()),
            "held_out_joints": float(joint_errors(found.joints(), wanted.joints).mean()),
            "mean_yaw": mean["yaw"],
            "mean_joints": mean["joints"],
        }

    def write(self) -> None:
        """Write the regressor, its held-out errors, and the contact sheet."""
        save_regressor(self.ctx.out, self.regressor)
        ids = self.ctx.split.ids
        held = [ids[index] for index in self.persons[self.held_out].tolist()]
        facts = {"persons": len(self.persons), "held_out": held, "errors": self.errors()}
        (self.ctx.out / FACTS).write_text(json.dumps(facts))
        if held:
            indices = self.persons[self.held_out][: self.params.sheet]
            fitted_sheet(self.regressor, self.ctx.split, indices, self.ctx.image_size).save(self.ctx.out / SHEET)


def cameras(bodies: Bodies, aspect: float) -> torch.Tensor:
    """Fit the camera [N, 4] of each image that maps its joints in space to those in the image (least squares)."""
    flat, joints = bodies.joints2d.double(), bodies.joints.double()
    spread = joints[..., :2] - joints[..., :2].mean(1, keepdim=True)
    moved = flat - flat.mean(1, keepdim=True)
    slope = (spread * moved).sum(1) / spread.square().sum(1)  # fractions of width and height for a body height
    right, down = slope[:, 0].clamp_min(1e-3), (-slope[:, 1]).clamp_min(1e-3)
    place = flat.mean(1) - torch.stack([right, -down], 1) * joints[..., :2].mean(1) - 0.5
    return torch.stack([down.log(), place[:, 0], place[:, 1], (right / (down * aspect)).log()], 1).float()
