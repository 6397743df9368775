"""TransReID's augmentation of training images: bicubic resize, flip, pad, crop, and erasing with noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from reidbench.data.pictures.images import HasImages
from reidbench.training import Preprocess
from reidbench.training.batches.noise import NoiseAugment

from .transreid_params import TransReidParams


@dataclass(frozen=True)
class Bicubic:
    """Images at one size (height, width), resized with Pillow's bicubic filter; the harness resizes test images."""

    images: HasImages
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> np.ndarray:
        """Return image `index` as uint8 [height, width, 3]."""
        picture = self.images.image(index)
        if picture.shape[:2] == self.size:
            return picture
        return np.asarray(Image.fromarray(picture).resize(self.size[::-1], Image.Resampling.BICUBIC))


class TrainAugment(NoiseAugment):
    """Flip, pad with black, crop, then erase with noise, by the parameters of transreid."""

    def __init__(self, params: TransReidParams, height: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(
            Preprocess((height, height), mean, std),
            flip=params.flip,
            pad=params.pad,
            erase=params.erase,
            height=height,
            area=params.erase_area,
        )
