"""Augmentations of competition systems: patches of other images, and images moved on a canvas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

TRIES = 100  # rectangles tried per patch
Pictures = Callable[[torch.Tensor], torch.Tensor]


class RandomPatch(nn.Module):
    """Pastes a patch of an earlier image at a random place (Zhou et al., OSNet, ICCV 2019).

    Every image adds a patch to a pool of the last `capacity`. Once the pool has `minimum` patches, an image gets one
    with `probability`, mirrored with `flip` and rotated with `rotate` by a whole number of degrees, at most `degrees`
    in either direction; a rotated patch keeps its size, and its corners are `value` [3], black in the images' units.
    The pool stores positions (index of the image, top, left, height, width) and crops them when they are pasted: it is
    small, is saved in checkpoints, and is shared by any number of workers. `pictures` returns the unchanged images [B,
    3, H, W] of indices [B], as they are pasted.
    """

    pool: torch.Tensor
    given: torch.Tensor

    def __init__(
        self,
        pictures: Pictures,
        size: tuple[int, int],
        *,
        probability: float = 0.5,
        capacity: int = 50_000,
        minimum: int = 100,
        area: Sequence[float] = (0.01, 0.5),
        aspect: Sequence[float] = (0.1, 10.0),
        flip: float = 0.5,
        rotate: float = 0.5,
        degrees: int = 10,
        value: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__()
        self.pictures = pictures
        self.size = size
        self.rotate, self.degrees, self.value = rotate, degrees, tuple(value)
        self.probability, self.minimum, self.area, self.aspect, self.flip = probability, minimum, area, aspect, flip
        self.register_buffer("pool", torch.zeros(capacity, 5, dtype=torch.int64))
        self.register_buffer("given", torch.zeros((), dtype=torch.int64))

    def forward(self, images: torch.Tensor, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Augment a batch; in the order of the images, each adds a patch and may then receive one."""
        images = images.clone()
        pasted: list[_Pasted] = []
        for row, index in enumerate(indices.tolist()):
            self._give(index, generator)
            chance = torch.rand(5, generator=generator).tolist()
            turn = self._degrees(generator)
            held = min(int(self.given), len(self.pool))
            if held < self.minimum or chance[0] >= self.probability:
                continue
            patch = self.pool[int(chance[1] * held)].tolist()
            top = int(chance[2] * (self.size[0] - patch[3] + 1))
            left = int(chance[3] * (self.size[1] - patch[4] + 1))
            pasted.append(_Pasted(row, patch, top, left, chance[4] < self.flip, turn))
        if pasted:
            sources = self.pictures(torch.tensor([one.patch[0] for one in pasted])).to(images)
            for source, one in zip(sources, pasted, strict=True):
                _, y, x, height, width = one.patch
                piece = source[:, y : y + height, x : x + width]
                piece = piece.flip(2) if one.mirrored else piece
                piece = turned(piece, one.degrees, self.value) if one.degrees else piece
                images[one.row, :, one.top : one.top + height, one.left : one.left + width] = piece
        return images

    def _degrees(self, generator: torch.Generator) -> int:
        """Draw the rotation of a patch in degrees; without `rotate` nothing is drawn."""
        if self.rotate == 0:
            return 0
        chosen, degrees = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        return int(degrees * (2 * self.degrees + 1)) - self.degrees if chosen < self.rotate else 0

    def _give(self, index: int, generator: torch.Generator) -> None:
        """Add a patch of an image to the pool in place of the oldest one; none if no rectangle fits."""
        height, width = self.size
        share, ratio, y, x = torch.rand(4, TRIES, generator=generator, dtype=torch.float64)
        share = (self.area[0] + share * (self.area[1] - self.area[0])) * height * width
        ratio = self.aspect[0] + ratio * (self.aspect[1] - self.aspect[0])
        tall, wide = (share * ratio).sqrt().round(), (share / ratio).sqrt().round()
        fits = (tall < height) & (wide < width) & (tall >= 1) & (wide >= 1)
        if not fits.any():
            return
        at = int(fits.int().argmax())
        rows, columns = int(tall[at]), int(wide[at])
        place = [index, int(y[at] * (height - rows + 1)), int(x[at] * (width - columns + 1)), rows, columns]
        self.pool[int(self.given) % len(self.pool)] = torch.tensor(place)
        self.given += 1


class _Pasted(NamedTuple):
    """A patch (index, top, left, height, width), and where and how it is pasted into image `row`."""

    row: int
    patch: list[int]
    top: int
    left: int
    mirrored: bool
    degrees: int


def turned(piece: torch.Tensor, degrees: int, value: Sequence[float]) -> torch.Tensor:
    """Rotate [3, h, w] about its centre, counter-clockwise, at the same size; each pixel is the nearest original one.

    Pixels from outside are `value` [3].
    """
    height, width = piece.shape[1:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    down = torch.arange(height, dtype=torch.float64)[:, None] + 0.5 - height / 2
    right = torch.arange(width, dtype=torch.float64)[None] + 0.5 - width / 2
    rows = (cosine * down + sine * right + height / 2).floor().long()
    columns = (cosine * right - sine * down + width / 2).floor().long()
    inside = ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)).to(piece.device)
    found = piece[:, rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return torch.where(inside, found, torch.tensor(tuple(value)).to(piece)[:, None, None])


@dataclass(frozen=True)
class RandomShift:
    """Random shifting augmentation (RSA): a part of an image, shrunk, at a random place on a canvas.

    With `probability`, a window of the full width and at least `least` of the height is resized to at least `least` of
    height and width, and placed on a canvas of `value` [3] (normalised units; 127 of 255 in the source).
    """

    probability: float = 0.5
    least: float = 0.7
    value: Sequence[float] = (0.0, 0.0, 0.0)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Augment [B, 3, H, W]; every image draws the same number of random numbers."""
        height, width = images.shape[2:]
        images = images.clone()
        canvas = torch.tensor(tuple(self.value)).view(-1, 1, 1).to(images)
        for row, chance in enumerate(torch.rand(len(images), 6, generator=generator).tolist()):
            if chance[0] >= self.probability:
                continue
            cut = _between(self.least, height, chance[1])
            top = int(chance[2] * (height - cut + 1))
            tall, wide = _between(self.least, height, chance[3]), _between(self.least, width, chance[3])
            small = F.interpolate(images[row : row + 1, :, top : top + cut], (tall, wide), mode="bilinear")
            y, x = int(chance[4] * (height - tall + 1)), int(chance[5] * (width - wide + 1))
            images[row] = canvas
            images[row, :, y : y + tall, x : x + wide] = small[0]
        return images


def _between(least: float, whole: int, chance: float) -> int:
    """Whole number from least x whole, rounded up, to `whole`."""
    low = math.ceil(least * whole)
    return low + int(chance * (whole - low + 1))


@dataclass(frozen=True)
class RandomAffine:
    """Rotate by up to `degrees`, shift by up to `move` of height and width, scale by 1 - `zoom` to 1 + `zoom`.

    Applied to each image with `probability`; pixels from outside are `value` [3] in normalised units.
    """

    probability: float = 0.5
    degrees: float = 10.0
    move: float = 0.05
    zoom: float = 0.1
    value: Sequence[float] = (0.0, 0.0, 0.0)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Augment [B, 3, H, W], bilinear."""
        count, _, height, width = images.shape
        chance = torch.rand(count, 5, generator=generator)
        angle, across, down, zoom = (2 * chance[:, 1:] - 1).unbind(1)
        angle, zoom = angle * torch.pi * self.degrees / 180, 1 / (1 + zoom * self.zoom)
        cosine, sine = angle.cos() * zoom, angle.sin() * zoom
        # grid_sample counts from -1 to 1 along each side, so rotating a rectangle depends on its aspect ratio.
        matrix = torch.stack(
            [
                torch.stack([cosine, -sine * height / width, 2 * across * self.move], 1),
                torch.stack([sine * width / height, cosine, 2 * down * self.move], 1),
            ],
            1,
        )
        grid = F.affine_grid(matrix.to(images), list(images.shape), align_corners=False)
        value = torch.tensor(tuple(self.value)).view(1, -1, 1, 1).to(images)
        turned = F.grid_sample(images - value, grid, align_corners=False) + value
        chosen = (chance[:, 0] < self.probability).to(images.device)[:, None, None, None]
        return torch.where(chosen, turned, images)
