"""True bodies as a regressor's targets: mirrored and moved together with their images, and errors against them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from reidbench.errors import DataError
from reidbench.rendering import humanoid
from reidbench.rendering.skeleton import MIRRORED_JOINTS
from reidbench.training import Augment, Preprocess
from reidbench.training.batches.colour import colour_jitter, luminance
from reidbench.training.contrastive.views import normalised

from .params import HMRTrainingParams

Progress = Callable[[int, int], None]


def shown_persons(truth: Any, count: int) -> list[int]:
    """Return which of the images 0 to `count` - 1 show a person. Raises DataError for a truth without bodies."""
    if not hasattr(truth, "body") or not hasattr(truth, "relevance"):
        raise DataError(
            "the truth of these images has no bodies, so a regressor cannot be trained on it; use a rendered pool"
        )
    return [index for index in range(count) if truth.relevance(index)]


@dataclass(frozen=True)
class Bodies:
    """True bodies of N images.

    `joints` [N, 15, 3] in the camera's frame, in body heights, with the pelvis at 0; `joints2d` [N, 15, 2] as fractions
    of the image, y down; `root` [N, 3, 3] from the body's frame to the camera's; `girths` [N, 6].
    """

    joints: torch.Tensor
    joints2d: torch.Tensor
    root: torch.Tensor
    girths: torch.Tensor

    def __len__(self) -> int:
        return len(self.joints)

    @classmethod
    def read(cls, truth: Any, indices: Sequence[int], progress: Progress = lambda done, total: None) -> Bodies:
        """Read `truth.body(index)` of images that show a person, as float32."""
        found = []
        for number, index in enumerate(indices, 1):
            found.append(truth.body(int(index)))
            if number % 256 == 0:
                progress(number, len(indices))
        angles = torch.tensor([[body.yaw, body.pitch] for body in found], dtype=torch.float64)
        root = humanoid.tilt(angles[:, 1]) @ humanoid.turn(angles[:, 0])
        columns = (np.stack([getattr(body, name) for body in found]) for name in ("joints", "joints2d", "girths"))
        joints, joints2d, girths = (torch.from_numpy(column).float() for column in columns)
        return cls(joints, joints2d, root.float(), girths)

    def rows(self, rows: torch.Tensor) -> Bodies:
        """Return the bodies of the given rows."""
        return Bodies(self.joints[rows], self.joints2d[rows], self.root[rows], self.girths[rows])

    def to(self, device: torch.device) -> Bodies:
        """Return a copy on a device."""
        return Bodies(*(part.to(device) for part in (self.joints, self.joints2d, self.root, self.girths)))

    def mirrored(self, where: torch.Tensor) -> Bodies:
        """Mirror the bodies where `where` [N] is true: left becomes right, yaw becomes -yaw."""
        order = list(MIRRORED_JOINTS)
        other = torch.tensor([-1.0, 1.0, 1.0])
        flat = self.joints2d[:, order]
        flat = torch.stack([1 - flat[..., 0], flat[..., 1]], -1)
        here = where[:, None, None]
        return Bodies(
            torch.where(here, self.joints[:, order] * other, self.joints),
            torch.where(here, flat, self.joints2d),
            torch.where(here, self.root * other * other[:, None], self.root),
            self.girths,
        )

    def moved(self, scale: torch.Tensor, shift: torch.Tensor) -> Bodies:
        """Return bodies in images scaled by [N, 2] about their centre, then shifted by [N, 2] of their size."""
        flat = 0.5 + (self.joints2d - 0.5) * scale[:, None] + shift[:, None]
        return Bodies(self.joints, flat, self.root, self.girths)


def move(pixels: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Scale images [B, 3, H, W] by [B, 2] (x, y) about their centre, then shift by [B, 2]; edges are repeated."""
    matrix = torch.zeros(len(pixels), 2, 3)
    matrix[:, [0, 1], [0, 1]] = 1 / scale
    matrix[:, :, 2] = -2 * shift / scale
    grid = F.affine_grid(matrix.to(pixels), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


class BodyAugment:
    """Mirroring, zoom and shift, colours, hidden rectangles, applied to images and bodies together."""

    def __init__(self, params: HMRTrainingParams, preprocess: Preprocess) -> None:
        self.params = params
        self.preprocess = preprocess
        self.hide = Augment(flip=0, pad=0, erase=params.erase)

    def __call__(self, pixels: torch.Tensor, bodies: Bodies, generator: torch.Generator) -> tuple[torch.Tensor, Bodies]:
        """Map uint8 [B, H, W, 3] on any device and their bodies to normalised images [B, 3, H, W] and their bodies."""
        params, count = self.params, len(pixels)
        images = pixels.permute(0, 3, 1, 2).float().div(255)
        mirror = torch.rand(count, generator=generator) < params.flip
        images = torch.where(mirror.to(images.device)[:, None, None, None], images.flip(3), images)
        draws = 2 * torch.rand(count, 4, generator=generator) - 1
        most = math.log(1 + params.zoom)
        scale = (most * (draws[:, :1] + draws[:, 1:2] * torch.tensor([1.0, -1.0]) / 3)).exp()
        shift = params.shift * draws[:, 2:]
        images = move(images, scale, shift)
        images = colour_jitter(images, params.jitter, 1.0, generator)
        grey = torch.rand(count, generator=generator) < params.grey
        images = torch.where(grey.to(images.device)[:, None, None, None], luminance(images).expand_as(images), images)
        images = normalised(images, self.preprocess.mean, self.preprocess.std)
        return self.hide(images, generator), bodies.mirrored(mirror).moved(scale, shift)


# ---------------------------------------------------------------------- errors
def yaw_errors(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Smallest difference between directions in radians: degrees [N], 0 to 180."""
    return torch.rad2deg((found - wanted + math.pi).remainder(2 * math.pi) - math.pi).abs()


def joint_errors(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean distance of joints [N, 15, 3] from the true ones, both with the pelvis at 0: [N] in body heights (MPJPE)."""
    distances: torch.Tensor = (found - wanted).norm(dim=2)
    return distances.mean(1)


def errors_of_the_mean(bodies: Bodies) -> dict[str, float]:
    """Errors of one constant prediction for all of these bodies: their mean joints, and the best single yaw."""
    yaws = humanoid.yaw(bodies.root)
    tried = torch.arange(360) * (math.pi / 180)
    return {
        "yaw": float(yaw_errors(tried[:, None], yaws[None]).mean(1).min()),
        "joints": float(joint_errors(bodies.joints.mean(0), bodies.joints).mean()),
    }
