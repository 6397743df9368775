"""What TransReID does to training images: bicubic resize, flip, pad, crop, and erasing with noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from reidbench.data.pictures.images import HasImages
from reidbench.training import Augment
from reidbench.training.batches.augment import padding

from .transreid_params import TransReidParams

TRIES = 10
LARGEST_ASPECT = 1 / 0.3


@dataclass(frozen=True)
class Bicubic:
    """Images at one size (height, width), resized with Pillow's bicubic filter; tests keep the harness's bilinear."""

    images: HasImages
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> np.ndarray:
        """Picture `index` as uint8 [height, width, 3]."""
        picture = self.images.image(index)
        if picture.shape[:2] == self.size:
            return picture
        return np.asarray(Image.fromarray(picture).resize(self.size[::-1], Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class NoiseErase:
    """One rectangle of an image becomes N(0, 1) noise, drawn for each pixel and channel (timm's mode 'pixel').

    It covers a share of the image drawn evenly from `area`; its aspect is drawn evenly on a logarithmic scale from
    0.3 to 3.33. An image in which ten draws do not fit stays as it is.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 1 / 3)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Normalised images [B, C, H, W] to a new batch."""
        images = images.clone()
        chosen = torch.rand(len(images), generator=generator) < self.probability
        for index in chosen.nonzero()[:, 0].tolist():
            self._erase(images[index], generator)
        return images

    def _erase(self, image: torch.Tensor, generator: torch.Generator) -> None:
        channels, height, width = image.shape
        for _ in range(TRIES):
            share, aspect, y, x = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
            pixels = (self.area[0] + share * (self.area[1] - self.area[0])) * height * width
            ratio = math.exp((2 * aspect - 1) * math.log(LARGEST_ASPECT))
            tall, wide = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
            if tall < height and wide < width:
                top, left = int(y * (height - tall + 1)), int(x * (width - wide + 1))
                noise = torch.randn(channels, tall, wide, generator=generator)
                image[:, top : top + tall, left : left + wide] = noise
                return


class TrainAugment:
    """Flip, pad with black, crop, then erase with noise: on normalised images, as the rectangles' N(0, 1) wants it."""

    def __init__(self, params: TransReidParams, height: int, mean: Sequence[float], std: Sequence[float]) -> None:
        pad = padding(params.pad, height)
        black = [-m / s for m, s in zip(mean, std, strict=True)]
        self.place = Augment(flip=params.flip, pad=pad, pad_value=black, erase=0)
        self.erase = NoiseErase(params.erase, params.erase_area)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """[B, 3, H, W] to a new batch; every number comes from `generator`."""
        return self.erase(self.place(images, generator), generator)
