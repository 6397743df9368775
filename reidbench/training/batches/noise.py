"""Random erasing with noise: augmentation of TransReID and CLIP-ReID."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from reidbench.training.networks.embedder import Preprocess

from .augment import Augment, Draws, padding

TRIES = 10
CHANNELS = 3
LARGEST_ASPECT = 1 / 0.3


@dataclass(frozen=True)
class Patches:
    """For each image of a batch (top, left, noise [3, h, w]), or None if nothing is erased."""

    noise: Sequence[tuple[int, int, torch.Tensor] | None]

    def part(self, part: slice) -> Patches:
        """Return the patches of some of the images."""
        return Patches(self.noise[part])


@dataclass(frozen=True)
class PlacedPatches:
    """Random numbers of a batch: positions of the images, and the noise in them."""

    draws: Draws
    patches: Patches

    def part(self, part: slice) -> PlacedPatches:
        """Return the numbers of some of the images."""
        return PlacedPatches(self.draws.part(part), self.patches.part(part))


@dataclass(frozen=True)
class NoiseErase:
    """Replaces a rectangle of an image by N(0, 1) noise for each pixel and channel (timm's mode 'pixel').

    Its share of the image is uniform in `area`; its aspect is log-uniform from 0.3 to 3.33. An image is unchanged if
    ten draws do not fit.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 1 / 3)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return erased copies of normalised images [B, C, H, W]."""
        return self.apply(images, self.draw(len(images), (images.shape[2], images.shape[3]), generator))

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Patches:
        """Draw for `count` images of three channels and of `size`: which are erased, then their noise one by one."""
        chosen = torch.rand(count, generator=generator) < self.probability
        return Patches([self._patch(size, generator) if row else None for row in chosen.tolist()])

    def apply(self, images: torch.Tensor, patches: Patches) -> torch.Tensor:
        """Return erased copies of normalised images [B, 3, H, W]."""
        images = images.clone()
        for image, patch in zip(images, patches.noise, strict=True):
            if patch is not None:
                top, left, noise = patch
                image[:, top : top + noise.shape[1], left : left + noise.shape[2]] = noise.to(image)
        return images

    def _patch(self, size: tuple[int, int], generator: torch.Generator) -> tuple[int, int, torch.Tensor] | None:
        height, width = size
        for _ in range(TRIES):
            share, aspect, y, x = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
            pixels = (self.area[0] + share * (self.area[1] - self.area[0])) * height * width
            ratio = math.exp((2 * aspect - 1) * math.log(LARGEST_ASPECT))
            tall, wide = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
            if tall < height and wide < width:
                top, left = int(y * (height - tall + 1)), int(x * (width - wide + 1))
                return top, left, torch.randn(CHANNELS, tall, wide, generator=generator)
        return None


class NoiseAugment:
    """Flip, pad with black, crop, then erase with noise: on normalised images, as N(0, 1) noise assumes.

    `pad` is in pixels, or None for 10 at a height of 256 and in proportion elsewhere; `area` are the smallest and
    largest share of an image that is erased.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        *,
        flip: float,
        pad: int | None,
        erase: float,
        height: int,
        area: tuple[float, float] = (0.02, 1 / 3),
    ) -> None:
        black = [-m / s for m, s in zip(preprocess.mean, preprocess.std, strict=True)]
        self.place = Augment(flip=flip, pad=padding(pad, height), pad_value=black, erase=0)
        self.erase = NoiseErase(erase, area)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return augmented copies of [B, 3, H, W]; every number comes from `generator`."""
        return self.apply(images, self.draw(len(images), (images.shape[2], images.shape[3]), generator))

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> PlacedPatches:
        """Draw flips and windows of all images, then their noise."""
        return PlacedPatches(self.place.draw(count, size, generator), self.erase.draw(count, size, generator))

    def apply(self, images: torch.Tensor, drawn: PlacedPatches) -> torch.Tensor:
        """Return augmented copies of normalised images [B, 3, H, W]."""
        return self.erase.apply(self.place.apply(images, drawn.draws), drawn.patches)
