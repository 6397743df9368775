"""gcl-oracle: the second view is the renderer's own image of the person from that side, as a perfect generator's."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from reidbench import AdaptContext
from reidbench.data import resize

from ..generator.pictures import write_sheet
from ..generator.view_angles import allowed_angles, draw_angles
from ..params import OracleParams
from ..structure.angles import ANGLES
from .contrast import DRAWS, Arm, Facts, total, values

KEPT_BYTES = 256 * 2**20  # cache of rendered views, since the same ones are drawn repeatedly


class OracleArm(Arm):
    """The three terms with true views; without a generator, the encoder learns only from these terms."""

    draws = (*DRAWS, "angles")

    def __init__(self, ctx: AdaptContext[OracleParams]) -> None:
        super().__init__(ctx)
        self.views: OracleParams = ctx.params
        self.angles = allowed_angles(ANGLES, self.views.angles)
        height, width = ctx.image_size
        self.view = functools.lru_cache(maxsize=KEPT_BYTES // (height * width * 3))(self._render)

    def _render(self, index: int, angle: int) -> np.ndarray:
        picture: np.ndarray = self.ctx.truth.view(index, math.radians(angle))
        return resize(picture, self.ctx.image_size)

    def turned(self, indices: np.ndarray, angles: np.ndarray) -> torch.Tensor:
        """Return normalised true views [B, 3, H, W] of images [B] at angles [B] in degrees."""
        pixels = np.stack([self.view(int(i), int(angle)) for i, angle in zip(indices, angles, strict=True)])
        return self.embedder.preprocess.normalise(torch.from_numpy(pixels)).to(self.device)

    def step(self, indices: np.ndarray, images: torch.Tensor) -> Facts:
        """One step of the encoder: image and true view are encoded separately, as generated views are."""
        x_new = self.turned(indices, draw_angles(self.angles, len(indices), self.streams["angles"]))
        with self.update.precision():
            _, f = self.identity(images)
            _, f_new = self.identity(x_new)
        terms = self.contrast(indices, f, f_new)
        self.update(total(terms))
        self.refresh(indices, f)
        return {**values(terms), "cosine": cosine(f, f_new)}

    def write_pictures(self) -> None:
        """Write views.png: originals and their true views."""
        shown = np.arange(min(self.views.sheet, len(self.images)))
        columns = {"image": self.pictures(shown)}
        columns |= {str(angle): self.turned(shown, np.full(len(shown), angle)) for angle in ANGLES}
        write_sheet(self.ctx.out, columns, self.embedder.preprocess)


def cosine(f: torch.Tensor, f_new: torch.Tensor) -> float:
    """Mean cosine of two sets of features [B, D]: the similarity of the second view to the image."""
    return float(torch.cosine_similarity(f.detach().float(), f_new.detach().float()).mean())
