"""The adapter gcl with `joint: false`: first the generator, then the encoder; the control for joint training."""

from __future__ import annotations

import copy

import numpy as np
import torch

from .contrast.contrast import Facts, total, values
from .contrast.identity import IdentityEncoder
from .contrast.oracle import cosine
from .joint import JointArm


class ApartArm(JointArm):
    """GCL's two halves in sequence: the same warm-up, after which generator and discriminator are frozen.

    Views are generated with the appearance codes of the start, for which the generator was trained. No gradient passes
    through them, so the encoder learns from the contrast only.
    """

    def _generator(self) -> None:
        super()._generator()
        self.start = copy.deepcopy(self.identity).eval().requires_grad_(False)

    @property
    def painter(self) -> IdentityEncoder:
        """The encoder with its initial weights."""
        return self.start

    def set_modes(self, joint: bool) -> None:
        """Set the modes as in joint training, but freeze generator and discriminator after the warm-up."""
        super().set_modes(joint)
        self.generator.train(not joint)
        self.critic.train(not joint)

    def step(self, indices: np.ndarray, images: torch.Tensor) -> Facts:
        """One step of the encoder: image and generated view are encoded separately."""
        x_new = self.paint(indices, images)
        with self.update.precision():
            _, f = self.identity(images)
            _, f_new = self.identity(x_new)
        terms = self.contrast(indices, f, f_new)
        self.update(total({name: self.options.view_weight * term for name, term in terms.items()}))
        self.refresh(indices, f)
        return {**values(terms), "cosine": cosine(f, f_new)}

    @torch.no_grad()
    def paint(self, indices: np.ndarray, images: torch.Tensor) -> torch.Tensor:
        """Generate a view [B, 3, H, W] of each image, normalised, with bodies drawn as in joint training."""
        turned = self.structures.draw(indices, self.streams)[0].to(self.device)
        with self.update.precision():
            feat, _ = self.painter(images)
            picture: torch.Tensor = self.generator(code=self.generator(turned), feat=feat)
        return picture
