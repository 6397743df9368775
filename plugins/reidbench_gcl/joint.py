"""The adapter gcl: warm-up of the generator with a frozen encoder, then joint training."""

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
                f"structure maps are {found[0]}x{found[1]}, the images {height}x{width}: use the same image_size "
                "for both"
            )
        super().__init__(ctx, structure_maps.missing)
        self.options: GCLParams = ctx.params
        self.warmup = self.options.warmup_epochs
        self.structures = Structures(structure_maps, self.kept, self.options.views, self.options.angles)
        self._generator()
        self.at_start = self.measure()  # before any state is restored, so that a resumed run has it too

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
        """Return the state from which a killed run resumes."""
        mine = {"generator": self.generator, "critic": self.critic, "adam": self.adam, "critic_adam": self.critic_adam}
        return {**super().state(), **mine}

    # ------------------------------------------------------------------ epochs
    def line(self, epoch: int) -> Facts:
        """Return an epoch's log line with measurements on the probe; the first also has the untrained generator's."""
        first = {f"{name}_at_start": value for name, value in self.at_start.items()} if epoch == 0 else {}
        trained = self.warmup_epoch() if epoch < self.warmup else self.epoch(epoch - self.warmup)
        return {**first, **trained, **self.measure()}

    def warmup_epoch(self) -> Facts:
        """Train generator and discriminator only. The encoder is in eval mode and never updated."""
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
        """Train the encoder only in the joint stage; before it, gradients flow through the encoder without updates."""
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
        """The encoder that provides the appearance codes for generation: the one in training."""
        return self.identity

    # ------------------------------------------------------------------ parts of a step
    def views(self, indices: np.ndarray, images: torch.Tensor, warmup: bool = False) -> Views:
        """Return images [B] with their reconstruction, second view and cycle, and the encoder's outputs for each."""
        streams = {**self.streams, "angles": self.streams["warm-up angles"]} if warmup else self.streams
        seen = self.structures.seen(indices).to(self.device)
        turned = self.structures.draw(indices, streams)[0].to(self.device)
        with self.update_generator.precision():
            return synthesise(self.identity, self.generator, images, seen, turned)

    def step_critic(self, views: Views) -> Facts:
        """One step of the discriminator; no gradient reaches generator or encoder."""
        if self.options.adversarial_weight == 0:
            return {}
        with self.update_critic.precision():
            losses = discriminator_loss(self.critic, views, self.options)
        self.update_critic(total(losses))
        return values(losses)

    def generator_losses(self, views: Views) -> dict[str, torch.Tensor]:
        """Return the weighted losses of generator and encoder, without the contrast."""
        with self.update_generator.precision():
            return generator_losses(self.critic, views, self.options)

    # ------------------------------------------------------------------ measurements
    @torch.no_grad()
    def measure(self) -> Facts:
        """On the first `probe` images in eval mode: errors of reconstruction and cycle, and similarity of the views."""
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
        """Return all generated images of images [B] with the body turned by `angle` degrees, in eval mode."""
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
        """Write views.png and the generator's files."""
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
