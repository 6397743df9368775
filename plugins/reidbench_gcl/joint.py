"""The adapter gcl: warm-up of the generator with the encoder frozen, then both together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from reidbench import AdaptContext
from reidbench.errors import DataError
from reidbench.training import Means, Update, seeded

from .contrast.contrast import DRAWS, Arm, Facts, shuffled, total, values
from .contrast.identity import IdentityEncoder
from .contrast.oracle import cosine
from .generator.discriminator import Discriminator
from .generator.losses import discriminator_loss, generator_losses
from .generator.params import GeneratorParams
from .generator.pictures import Described, write_sheet
from .generator.synthesis import Generator, Views, synthesise
from .generator.view_angles import Structures
from .params import GCLParams
from .structure.structure_maps import StructureMaps


class JointArm(Arm):
    """GCL (Chen et al., CVPR 2021): images and generated views, encoder and generator trained together."""

    draws = (*DRAWS, "warm-up order", "warm-up angles", "angles", "strangers")

    def __init__(self, ctx: AdaptContext[GCLParams]) -> None:
        structure_maps = StructureMaps.load(ctx.prepared["structure"], len(ctx.target))
        found, (height, width) = structure_maps.maps.shape[2:], ctx.image_size
        if found != (height, width):
            raise DataError(
                f"structure of {found[0]}x{found[1]}, and the images have {height}x{width}: give both one size"
            )
        super().__init__(ctx, structure_maps.missing)
        self.options: GCLParams = ctx.params
        self.warmup = self.options.warmup_epochs
        self.structures = Structures(structure_maps, self.kept, self.options.views, self.options.angles)
        self._generator()
        self.at_start = self.measure()  # before any state is restored, so that a resumed run knows it too

    def _generator(self) -> None:
        params, ctx = self.options, self.ctx
        with seeded(ctx.seed, "gcl generator"):
            self.generator = Generator(params, self.feat_dim, ctx.image_size).to(self.device)
            self.critic = Discriminator(params).to(self.device)
        self.adam, self.critic_adam = (
            torch.optim.Adam(network.parameters(), lr=lr, betas=params.betas, weight_decay=params.weight_decay)
            for network, lr in ((self.generator, params.lr_generator), (self.critic, params.lr_critic))
        )
        self.update_generator = Update(ctx.fabric, self.adam)
        self.update_critic = Update(ctx.fabric, self.critic_adam)
        self.update_both = Update(ctx.fabric, self.adam, self.optimiser)

    def state(self) -> dict[str, Any]:
        """Everything that a killed training needs to go on."""
        mine = {"generator": self.generator, "critic": self.critic, "adam": self.adam, "critic_adam": self.critic_adam}
        return {**super().state(), **mine}

    # ------------------------------------------------------------------ epochs
    def line(self, epoch: int) -> Facts:
        """The first line also tells what the untrained generator makes, every line what it makes of the probe now."""
        first = {f"{name}_at_start": value for name, value in self.at_start.items()} if epoch == 0 else {}
        trained = self.warmup_epoch() if epoch < self.warmup else self.epoch(epoch - self.warmup)
        return {**first, **trained, **self.measure()}

    def warmup_epoch(self) -> Facts:
        """Generator and discriminator alone. The encoder is in eval mode and is never stepped."""
        self.set_modes(joint=False)
        params, everyone = self.options, np.arange(len(self.images))
        means = Means()
        order = shuffled(everyone, params.batch, params.warmup_iterations, self.streams["warm-up order"])
        for images, indices in self.batches(order):
            views = self.views(indices, images, warmup=True)
            critic = self.step_critic(views)
            losses = self.generator_losses(views)
            self.update_generator(total(losses))
            means.add({**critic, **losses})
        return {"stage": 2.0, "steps": float(means.steps), **means.values()}

    def set_modes(self, joint: bool) -> None:
        """The encoder trains in the joint stage alone; before it, gradients only flow through it."""
        self.identity.train(joint)
        self.identity.requires_grad_(False)
        for parameter in self.trained:
            parameter.requires_grad_(joint)
        self.generator.train()
        self.critic.train()

    def step(self, indices: np.ndarray, images: torch.Tensor) -> Facts:
        """One step of all networks: discriminator on detached fakes, then encoder and generator with every loss."""
        views = self.views(indices, images)
        critic = self.step_critic(views)
        losses = self.generator_losses(views)
        terms = self.contrast(indices, views.f, views.f_new)
        contrast = {name: self.options.view_weight * term for name, term in terms.items()}
        self.update_both(total({**losses, **contrast}))
        self.refresh(indices, views.f)
        return {**critic, **values(losses), **values(terms), "cosine": cosine(views.f, views.f_new)}

    @property
    def painter(self) -> IdentityEncoder:
        """The encoder whose appearance codes are painted with: the one that learns."""
        return self.identity

    # ------------------------------------------------------------------ parts of a step
    def views(self, indices: np.ndarray, images: torch.Tensor, warmup: bool = False) -> Views:
        """Images [B] with their reconstruction, second view and cycle, and what the encoder says of each."""
        streams = {**self.streams, "angles": self.streams["warm-up angles"]} if warmup else self.streams
        seen = self.structures.seen(indices).to(self.device)
        turned = self.structures.draw(indices, streams)[0].to(self.device)
        with self.update_generator.precision():
            return synthesise(self.identity, self.generator, images, seen, turned)

    def step_critic(self, views: Views) -> Facts:
        """One step of the discriminator; nothing of it reaches generator or encoder."""
        if self.options.adversarial_weight == 0:
            return {}
        with self.update_critic.precision():
            losses = discriminator_loss(self.critic, views, self.options)
        self.update_critic(total(losses))
        return values(losses)

    def generator_losses(self, views: Views) -> dict[str, torch.Tensor]:
        """The weighted losses of generator and encoder, without the contrast."""
        with self.update_generator.precision():
            return generator_losses(self.critic, views, self.options)

    # ------------------------------------------------------------------ what is told
    @torch.no_grad()
    def measure(self) -> Facts:
        """On the first `probe` images in eval mode: how near reconstruction and cycle are, and what views keep."""
        indices = np.arange(min(self.options.probe, len(self.images)))
        views = self.at_angle(indices, self.structures.angles[len(self.structures.angles) // 2])
        scores = {
            name: sum(float(part.float().mean()) for part in self.critic(images)) / self.options.critic_scales
            for name, images in (("score_real", views.x), ("score_view", views.x_new))
        }
        return {
            "l1_reconstruction": float((views.x_ori - views.x).abs().mean()),
            "l1_cycle": float((views.x_cycle - views.x).abs().mean()),
            "cosine_view": cosine(views.f, views.f_new),
            **scores,
        }

    @torch.no_grad()
    def at_angle(self, indices: np.ndarray, angle: int) -> Views:
        """All pictures of images [B] with the body turned by `angle` degrees, networks in eval mode."""
        modes = [(network, network.training) for network in (self.identity, self.generator, self.critic)]
        for network, _ in modes:
            network.eval()
        seen = self.structures.seen(indices).to(self.device)
        turned = self.structures.at(indices, np.full(len(indices), angle)).to(self.device)
        views = synthesise(self.painter, self.generator, self.pictures(indices), seen, turned)
        for network, training in modes:
            network.train(training)
        return views

    def write_pictures(self) -> None:
        """views.png, and the generator as files."""
        shown = np.arange(min(self.options.sheet, len(self.images)))
        angles = self.structures.structure_maps.angles
        turns = {angle: self.at_angle(shown, angle) for angle in angles}
        first = turns[angles[0]]
        columns = {"image": first.x, "rebuilt": first.x_ori}
        columns |= {str(angle): views.x_new for angle, views in turns.items()}
        columns["cycle"] = turns[angles[len(angles) // 2]].x_cycle
        write_sheet(self.ctx.out, columns, self.embedder.preprocess)
        Described(
            params=self.options.model_dump(mode="json", include=set(GeneratorParams.model_fields)),
            feat_dim=self.feat_dim,
            image_size=self.ctx.image_size,
            provider=self.structures.structure_maps.provider,
            angles=self.structures.angles,
            views=self.options.views,
            at_start=self.at_start,
            at_end=self.measure(),
        ).save(self.ctx.out, self.generator)
