"""From one picture's pixels to its place in a batch, normalised and augmented in the processor's caches."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from reidbench.training.networks.embedder import Preprocess

from .augment import Augment, Draws, channels


class Writer(Protocol):
    """One way of writing batches."""

    def empty(self, count: int) -> torch.Tensor:
        """A batch float32 [B, 3, H, W] to be written into."""

    def write(self, pixels: np.ndarray, out: torch.Tensor, draws: Draws | None, row: int) -> None:
        """Pixels uint8 [H, W, 3] into `out` [3, H, W], with what was drawn for picture `row`."""


class PlainWriter:
    """The numbers of `Preprocess.normalise` and `Augment.apply`, to the last bit and in their order in memory.

    That order is rows of pixels, [B, H, W, 3], but contiguous where pictures are padded.
    """

    def __init__(self, preprocess: Preprocess, augment: Augment | None = None) -> None:
        self.height, self.width = preprocess.size
        self.normaliser = Normaliser(preprocess)
        self.augment = augment

    def empty(self, count: int) -> torch.Tensor:
        """A batch float32 [B, 3, H, W]; numpy's memory comes in huge pages, and torch's costs a fault for each 4 kB."""
        if self.augment is not None and self.augment.pad:
            return torch.from_numpy(np.empty((count, 3, self.height, self.width), np.float32))
        return torch.from_numpy(np.empty((count, self.height, self.width, 3), np.float32)).permute(0, 3, 1, 2)

    def write(self, pixels: np.ndarray, out: torch.Tensor, draws: Draws | None, row: int) -> None:
        """Pixels uint8 [H, W, 3] into `out` [3, H, W], with what was drawn for picture `row`."""
        image = self.normaliser.planes(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None])
        if self.augment is None or draws is None:
            out.copy_(image[0])
        else:
            self.augment.place_one(self.augment.rounded(image)[0], out, draws, row)


class Normaliser:
    """`Preprocess.normalise` on any device, the same to the last bit."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.mean, self.std = preprocess.mean, preprocess.std

    def planes(self, planes: torch.Tensor) -> torch.Tensor:
        """uint8 [B, 3, H, W] to float32 of the same order in memory."""
        images = planes.float()
        # By a tensor, since CUDA multiplies by the reciprocal of a number, which rounds otherwise.
        images.div_(channels((255.0,), images))
        return images.sub_(channels(self.mean, images)).div_(channels(self.std, images))
