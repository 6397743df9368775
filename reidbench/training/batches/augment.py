"""Augmentation of whole batches, drawn from one generator, so that workers cannot change a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from reidbench.training.devices import WHOLE, Share

TRIES = 10  # rectangles that are tried for an erasure; most draws fit at the first


# BoT's official code erases with ImageNet's mean after normalising, which is a light grey, not the mean.
GREY = (0.485, 0.456, 0.406)


def padding(pad: int | None, height: int) -> int:
    """`pad`; where it is None as much as 10 pixels are of a height of 256, and at least one."""
    return pad if pad is not None else max(1, round(10 * height / 256))


def bot_augment(flip: float, pad: int | None, erase: float, height: int) -> Augment:
    """BoT's augmentation of images of `height` pixels."""
    return Augment(flip=flip, pad=padding(pad, height), erase=erase, erase_value=GREY)


@dataclass(frozen=True)
class Draws:
    """What happens to each of B pictures: flip [B], window's top and left [B] in the padded picture, box [B, 4].

    A box is top, left, height and width of what is erased; height 0 erases nothing.
    """

    flip: np.ndarray
    top: np.ndarray
    left: np.ndarray
    box: np.ndarray

    def part(self, part: slice) -> Draws:
        """Those of some of the pictures."""
        return Draws(self.flip[part], self.top[part], self.left[part], self.box[part])


@dataclass(frozen=True)
class Augment:
    """Flip, pad and crop, erase: the augmentations of BoT, on normalised images [B, 3, H, W].

    `flip` is a probability. `pad` pixels of `pad_value` (black, in normalised units) are put around and a window
    of the old size is cut out. `erase` is the probability of one rectangle, of a share of the image within
    `erase_area` and an aspect between 0.3 and 3.33, filled with `erase_value` (in normalised units).
    """

    flip: float = 0.5
    pad: int = 10
    pad_value: Sequence[float] = (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_value: Sequence[float] = (0.0, 0.0, 0.0)

    def __call__(self, images: torch.Tensor, generator: torch.Generator, share: Share = WHOLE) -> torch.Tensor:
        """A new batch; every image draws its own numbers, in a fixed order.

        `images` are a `share` of a batch; numbers are drawn for all of it.
        """
        images = self._flip(images, generator, share)
        images = self._pad_and_crop(images, generator, share)
        return self._erase(images, generator, share)

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """The same choices beforehand, for pictures that are augmented one by one.

        Every picture has a row of random numbers of its own, of fixed length, whatever becomes of the others. The
        distribution is that of `__call__`, the numbers are not.
        """
        height, width = size
        chance = torch.rand((count, 4 + 4 * TRIES), generator=generator, dtype=torch.float64).numpy()
        span = 2 * self.pad + 1
        share, aspect, y, x = np.moveaxis(chance[:, 4:].reshape(count, TRIES, 4), 2, 0)
        area = (self.erase_area[0] + share * (self.erase_area[1] - self.erase_area[0])) * height * width
        ratio = 0.3 + aspect * (1 / 0.3 - 0.3)
        tall, wide = np.rint(np.sqrt(area * ratio)).astype(int), np.rint(np.sqrt(area / ratio)).astype(int)
        fits = (tall < height) & (wide < width)
        boxes = np.stack([y * (height - tall + 1), x * (width - wide + 1), tall, wide], axis=-1).astype(int)
        box = boxes[np.arange(count), fits.argmax(1)]
        box[~fits.any(1) | (chance[:, 3] >= self.erase)] = 0
        return Draws(
            chance[:, 0] < self.flip, (chance[:, 1] * span).astype(int), (chance[:, 2] * span).astype(int), box
        )

    def _flip(self, images: torch.Tensor, generator: torch.Generator, share: Share) -> torch.Tensor:
        flipped = share.rand(len(images), generator=generator) < self.flip
        return torch.where(flipped[:, None, None, None], images.flip(3), images)

    def _pad_and_crop(self, images: torch.Tensor, generator: torch.Generator, share: Share) -> torch.Tensor:
        if self.pad == 0:
            return images
        batch, channels, height, width = images.shape
        value = torch.tensor(tuple(self.pad_value)).view(1, channels, 1, 1)
        # Padding with zeros after subtracting the value, then adding it back, pads with the value.
        padded = F.pad(images - value, [self.pad] * 4) + value
        top, left = (
            share.of(torch.randint(2 * self.pad + 1, (share.whole(batch),), generator=generator)) for _ in range(2)
        )
        rows = (top[:, None] + torch.arange(height))[:, None, :, None]
        columns = (left[:, None] + torch.arange(width))[:, None, None, :]
        index = torch.arange(batch)[:, None, None, None]
        return padded[index, torch.arange(channels)[None, :, None, None], rows, columns]

    def _erase(self, images: torch.Tensor, generator: torch.Generator, share: Share) -> torch.Tensor:
        if self.erase == 0:
            return images
        _, _, height, width = images.shape
        images = images.clone()
        value = torch.tensor(tuple(self.erase_value)).view(-1, 1, 1)
        whole = share.whole(len(images))
        own = share.part(whole)
        for place in range(whole):
            if torch.rand((), generator=generator).item() >= self.erase:
                continue
            for _ in range(100):  # most draws fit at the first try
                covered, aspect, y, x = torch.rand(4, generator=generator).tolist()
                area = (self.erase_area[0] + covered * (self.erase_area[1] - self.erase_area[0])) * height * width
                ratio = 0.3 + aspect * (1 / 0.3 - 0.3)
                tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
                if tall < height and wide < width:
                    top, left = int(y * (height - tall + 1)), int(x * (width - wide + 1))
                    if own.start <= place < own.stop:
                        images[place - own.start, :, top : top + tall, left : left + wide] = value
                    break
        return images
