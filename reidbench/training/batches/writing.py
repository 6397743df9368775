"""Write one image's pixels to its place in a batch, normalised and augmented in the processor's caches."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from reidbench.training.networks.embedder import Preprocess

from .augment import Augment, Draws, channels


class Writer(Protocol):
    """Interface of batch writers."""

    def empty(self, count: int) -> torch.Tensor:
        """Allocate a batch, float32 [B, 3, H, W]."""

    def write(self, pixels: np.ndarray, out: torch.Tensor, draws: Draws | None, row: int) -> None:
        """Write pixels uint8 [H, W, 3] into `out` [3, H, W], with the numbers drawn for image `row`."""


class PlainWriter:
    """Writer with the values of `Preprocess.normalise` and `Augment.apply`, to the last bit and in their memory order.

    That order is rows of pixels, [B, H, W, 3], but contiguous if images are padded.
    """

    def __init__(self, preprocess: Preprocess, augment: Augment | None = None) -> None:
        self.height, self.width = preprocess.size
        self.normaliser = Normaliser(preprocess)
        self.augment = augment

    def empty(self, count: int) -> torch.Tensor:
        """Allocate a batch, float32 [B, 3, H, W]; numpy's memory uses huge pages, torch's page-faults per 4 kB."""
        if self.augment is not None and self.augment.pad:
            return torch.from_numpy(np.empty((count, 3, self.height, self.width), np.float32))
        return torch.from_numpy(np.empty((count, self.height, self.width, 3), np.float32)).permute(0, 3, 1, 2)

    def write(self, pixels: np.ndarray, out: torch.Tensor, draws: Draws | None, row: int) -> None:
        """Write pixels uint8 [H, W, 3] into `out` [3, H, W], with the numbers drawn for image `row`."""
        image = self.normaliser.planes(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None])
        if self.augment is None or draws is None:
            out.copy_(image[0])
        else:
            self.augment.place_one(self.augment.rounded(image)[0], out, draws, row)


class Normaliser:
    """`Preprocess.normalise` on any device, identical to the last bit."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.mean, self.std = preprocess.mean, preprocess.std

    def planes(self, planes: torch.Tensor) -> torch.Tensor:
        """Normalise uint8 [B, 3, H, W] to float32 in the same memory order."""
        images = planes.float()
        # By a tensor: CUDA multiplies by the reciprocal of a scalar, which rounds differently.
        images.div_(channels((255.0,), images))
        return images.sub_(channels(self.mean, images)).div_(channels(self.std, images))
