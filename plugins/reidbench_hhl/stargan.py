"""The camera StarGAN: trains on the target's images and camera labels, then maps every image to every camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from reidbench import PrepareContext
from reidbench.data import UNKNOWN_CAMERA
from reidbench.errors import DataError, ReidbenchError
from reidbench.training import Means, Update, image_source, seeded, stream
from reidbench.training.optim.schedules import linear_decay
from reidbench.training.translation.passes import Passes
from reidbench.training.translation.pixels import crop_and_flip, to_pixels, to_signed

from .networks import Discriminator, Generator
from .params import StarGanParams
from .styles import known_cameras, write_styles

Realness = Callable[[torch.Tensor], torch.Tensor]
Loss = tuple[torch.Tensor, dict[str, torch.Tensor]]  # the loss and the values to log


def prepare(ctx: PrepareContext[StarGanParams]) -> None:
    """Train, then write `<id>_fake_<k>.jpg` for every image and every camera, including the image's own.

    Also writes `generator.safetensors` and the contact sheet. Raises DataError if there are too few images, fewer than
    two cameras, or the networks cannot halve the image size.
    """
    run = StarGan(ctx)
    run.train()
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in run.generator.state_dict().items()}
    save_file(state, ctx.out / "generator.safetensors")
    write_styles(ctx, [camera + 1 for camera in run.cameras], run.fakes, quality=ctx.params.quality)


class StarGan:
    """One training run. `cameras` are the split's; the networks' labels are their ranks."""

    def __init__(self, ctx: PrepareContext[StarGanParams]) -> None:
        if ctx.fabric.world_size != 1:
            raise ReidbenchError("stargan trains on one device: set `devices: 1`")
        self.ctx = ctx
        self.params = ctx.params
        self.size = self._working_size()
        self.cameras = known_cameras(ctx.split)
        if len(self.cameras) < 2:
            raise DataError("stargan needs two or more cameras: one camera has no other style to transfer to")
        self.usable = np.flatnonzero(ctx.split.camids != UNKNOWN_CAMERA)
        self.labels = torch.from_numpy(np.searchsorted(self.cameras, ctx.split.camids[self.usable]))
        self.passes = Passes(len(self.usable), self.params.batch, ctx.seed, "target images of stargan")
        self.total = self.params.steps or self.params.epochs * len(self.passes)
        self.streams = {name: stream(ctx.seed, name) for name in ("augment", "cameras", "interpolates")}
        larger = [round(side * self.params.enlarge) for side in self.size]
        self.fetch = image_source(ctx.split, (larger[0], larger[1]), workers=ctx.workers)
        self._build()

    def _working_size(self) -> tuple[int, int]:
        height, width = self.params.size or self.ctx.image_size
        if height % 4 or width % 4:
            raise DataError(
                f"the generator halves images twice, which {height}x{width} does not allow: set "
                "`size` to multiples of 4"
            )
        return height, width

    def _build(self) -> None:
        params, cameras = self.params, len(self.cameras)
        with seeded(self.ctx.seed, "networks"):
            self.generator = Generator(cameras, params.channels, params.blocks)
            self.critic = Discriminator(self.size, cameras, params.critic_channels, params.critic_layers)
        for network in (self.generator, self.critic):
            # 10 to 20 % faster on CPUs.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.ctx.fabric.to_device(network)
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=params.lr, betas=params.betas)
            for name, network in (("generator", self.generator), ("critic", self.critic))
        }
        self.updates = {name: Update(self.ctx.fabric, one) for name, one in self.optimisers.items()}

    # ------------------------------------------------------------------ training
    def train(self) -> None:
        """Train all remaining steps, with a checkpoint and a log line every `save_every`."""
        every = self.params.save_every
        state = {
            "generator": self.generator,
            "critic": self.critic,
            "generator_optimiser": self.optimisers["generator"],
            "critic_optimiser": self.optimisers["critic"],
            **self.streams,
        }
        for part in self.ctx.checkpoint.epochs(-(-self.total // every), **state):
            means = Means()
            for step in range(part * every, min((part + 1) * every, self.total)):
                means.add(self.step(step))
            steps, updates = min((part + 1) * every, self.total), means.counts.get("cycle", 0)
            self.ctx.log({"steps": steps, "generator_updates": updates, **means.values()})

    def step(self, step: int) -> dict[str, torch.Tensor | float]:
        """Take a discriminator step and, every `critic_steps`-th step, a generator step; return the values to log."""
        rate = self.params.lr * linear_decay(step, self.total, self.params.decay_start)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        images, cameras, wanted = self.batch(step)
        loss, facts = self.critic_loss(images, cameras, wanted)
        self.updates["critic"](loss)
        if (step + 1) % self.params.critic_steps == 0:
            self.critic.requires_grad_(False)  # the generator's step needs no gradients of the critic
            loss, more = self.generator_loss(images, cameras, wanted)
            self.updates["generator"](loss)
            self.critic.requires_grad_(True)
            facts |= more
        return {**facts, "lr": rate}

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return augmented images in -1..1, their cameras, and the same cameras in a different order, as targets."""
        rows = self.passes.at(step)
        pixels = self.fetch(self.usable[rows]).permute(0, 3, 1, 2)
        images = crop_and_flip(pixels, self.size, self.params.flip, self.streams["augment"])
        cameras = self.labels[rows]
        wanted = cameras[torch.randperm(len(cameras), generator=self.streams["cameras"])]
        return self.ctx.fabric.to_device((to_signed(images), cameras, wanted))  # type: ignore[no-any-return]

    def generate(self, images: torch.Tensor, cameras: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to the style of the cameras [B], in float32."""
        with self.ctx.fabric.autocast():
            return self.generator(images, cameras).float()  # type: ignore[no-any-return]

    def judge(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the critic's realness map and camera logits of images [B, 3, H, W], in float32."""
        with self.ctx.fabric.autocast():
            realness, logits = self.critic(images)
        return realness.float(), logits.float()

    def critic_loss(self, images: torch.Tensor, cameras: torch.Tensor, wanted: torch.Tensor) -> Loss:
        """Weighted sum of -mean D(x) + mean D(G(x, c')), camera cross-entropy of x, and gradient penalty."""
        with torch.no_grad():
            fakes = self.generate(images, wanted)
        realness, logits = self.judge(images)
        fake_realness, _ = self.judge(fakes)
        alpha = torch.rand(len(images), 1, 1, 1, generator=self.streams["interpolates"]).to(images)
        penalty = gradient_penalty(lambda points: self.critic(points)[0], images, fakes, alpha)
        facts = {
            "real": realness.mean(),
            "fake": fake_realness.mean(),
            "camera": F.cross_entropy(logits, cameras),
            "penalty": penalty,
        }
        loss = facts["fake"] - facts["real"] + self.params.camera_weight * facts["camera"]
        loss = loss + self.params.penalty_weight * penalty
        return loss, {"critic_loss": loss.detach(), **_detached(facts)}

    def generator_loss(self, images: torch.Tensor, cameras: torch.Tensor, wanted: torch.Tensor) -> Loss:
        """Weighted sum of -mean D(G(x, c')), camera cross-entropy of G(x, c'), cycle loss and identity loss."""
        fakes = self.generate(images, wanted)
        realness, logits = self.judge(fakes)
        facts = {
            "generated": realness.mean(),
            "generated_camera": F.cross_entropy(logits, wanted),
            "cycle": (self.generate(fakes, cameras) - images).abs().mean(),
        }
        params = self.params
        loss = params.camera_weight * facts["generated_camera"] - facts["generated"]
        loss = loss + params.cycle_weight * facts["cycle"]
        if params.identity_weight > 0:
            facts["identity"] = (self.generate(images, cameras) - images).abs().mean()
            loss = loss + params.identity_weight * facts["identity"]
        return loss, {"generator_loss": loss.detach(), **_detached(facts)}

    # ------------------------------------------------------------------ fakes
    @torch.no_grad()
    def fakes(self, indices: np.ndarray) -> np.ndarray:
        """Map images [n] of the split, not augmented, to the style of all C cameras: uint8 [n, C, 1, H, W, 3]."""
        fetch = image_source(self.ctx.split, self.size, limit=0, workers=self.ctx.workers)
        pixels = fetch(indices).permute(0, 3, 1, 2)
        return render(self.generate, self.ctx.fabric.to_device(to_signed(pixels)), len(self.cameras))


def _detached(facts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in facts.items()}


def render(generate: Callable[..., torch.Tensor], images: torch.Tensor, cameras: int) -> np.ndarray:
    """Map images [n, 3, H, W] in -1..1 to each of C cameras: uint8 [n, C, 1, H, W, 3]."""
    styled = []
    for camera in range(cameras):
        wanted = torch.full((len(images),), camera, device=images.device)
        styled.append(to_pixels(generate(images, wanted).float()))
    return torch.stack(styled, 1)[:, :, None].numpy()


def gradient_penalty(
    realness: Realness, images: torch.Tensor, fakes: torch.Tensor, alpha: torch.Tensor
) -> torch.Tensor:
    """mean (|grad D(z)| - 1)^2 at z = alpha x + (1 - alpha) fake (Gulrajani et al., 2017, eq. 3), in float32.

    images and fakes [B, 3, H, W], alpha [B, 1, 1, 1]; for a map D(z) the gradient is that of its sum.
    """
    with torch.autocast(images.device.type, enabled=False):
        points = (alpha * images + (1 - alpha) * fakes).float().detach().requires_grad_()
        (gradient,) = torch.autograd.grad(realness(points).sum(), points, create_graph=True)
        penalty: torch.Tensor = (gradient.flatten(1).norm(dim=1) - 1).pow(2).mean()
        return penalty
