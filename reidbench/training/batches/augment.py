"""Augmentation of batches in two steps: draw random numbers from one generator, then apply them deterministically.

Drawing is cheap and follows the order of the batches; applying is expensive and may run anywhere: in worker threads,
ahead of the step, on a device. Neither workers nor devices can change a result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from reidbench.training.devices import WHOLE, Share

TRIES = 10  # rectangles tried per erasure in a row of numbers; most draws fit on the first try


# BoT's official code erases with ImageNet's mean after normalising, which is a light grey, not the mean.
GREY = (0.485, 0.456, 0.406)


def padding(pad: int | None, height: int) -> int:
    """`pad`, or by default as much as 10 pixels are of a height of 256, and at least one pixel."""
    return pad if pad is not None else max(1, round(10 * height / 256))


def bot_augment(flip: float, pad: int | None, erase: float, height: int) -> Augment:
    """BoT's augmentation of images of `height` pixels."""
    return Augment(flip=flip, pad=padding(pad, height), erase=erase, erase_value=GREY)


class Drawn(Protocol):
    """Random numbers drawn for the images of a batch."""

    def part(self, part: slice, /) -> Drawn:
        """The numbers of some of the images."""


@runtime_checkable
class Augmentation(Protocol):
    """Augmentation whose batches can be computed ahead of the step, by any number of workers, on any device."""

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Any:
        """Draw all numbers for `count` images of `size` (height, width): an object with `Drawn.part`."""

    def apply(self, images: torch.Tensor, drawn: Any) -> torch.Tensor:
        """Apply drawn numbers to normalised images [B, 3, H, W] on any device; returns a new batch, draws nothing."""


@dataclass(frozen=True)
class Draws:
    """Numbers drawn for B images: flip [B], top and left of the window [B] in the padded image, box [B, 4].

    A box is top, left, height and width of the erased rectangle; height 0 erases nothing.
    """

    flip: np.ndarray
    top: np.ndarray
    left: np.ndarray
    box: np.ndarray

    def part(self, part: slice) -> Draws:
        """The numbers of some of the images."""
        return Draws(self.flip[part], self.top[part], self.left[part], self.box[part])


@dataclass(frozen=True)
class Augment:
    """Flip, pad and crop, erase: BoT's augmentations, on normalised images [B, 3, H, W].

    `flip` is a probability. `pad` pixels of `pad_value` (black, in normalised units) are added on each side and a
    window of the original size is cropped. `erase` is the probability of erasing one rectangle, with an area within
    `erase_area` (share of the image) and an aspect ratio between 0.3 and 3.33, filled with `erase_value` (in normalised
    units).
    """

    flip: float = 0.5
    pad: int = 10
    pad_value: Sequence[float] = (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_value: Sequence[float] = (0.0, 0.0, 0.0)

    def __call__(self, images: torch.Tensor, generator: torch.Generator, share: Share = WHOLE) -> torch.Tensor:
        """Augment a batch; every image draws separate numbers, in a fixed order.

        `images` are a `share` of a batch; numbers are drawn for the whole batch.
        """
        whole = share.whole(len(images))
        draws = self.draw(whole, (images.shape[2], images.shape[3]), generator)
        return self.apply(images, draws.part(share.part(whole)))

    # ------------------------------------------------------------------ drawing
    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Draw numbers for `count` images of `size`: all flips, then all windows, then the boxes image by image."""
        flip = (torch.rand(count, generator=generator) < self.flip).numpy()
        top, left = np.zeros((2, count), np.int64)
        if self.pad:
            top, left = (torch.randint(2 * self.pad + 1, (count,), generator=generator).numpy() for _ in range(2))
        box = np.zeros((count, 4), np.int64)
        if self.erase:
            for row in range(count):
                box[row] = self._box(size, generator)
        return Draws(flip, top, left, box)

    def _box(self, size: tuple[int, int], generator: torch.Generator) -> tuple[int, int, int, int]:
        height, width = size
        if torch.rand((), generator=generator).item() >= self.erase:
            return 0, 0, 0, 0
        for _ in range(100):  # most draws fit on the first try
            covered, aspect, y, x = torch.rand(4, generator=generator).tolist()
            area = (self.erase_area[0] + covered * (self.erase_area[1] - self.erase_area[0])) * height * width
            ratio = 0.3 + aspect * (1 / 0.3 - 0.3)
            tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if tall < height and wide < width:
                return int(y * (height - tall + 1)), int(x * (width - wide + 1)), tall, wide
        return 0, 0, 0, 0

    def draw_rows(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Draw the same choices from other numbers, for the fast reader.

        Every image has a separate row of random numbers, of fixed length, independent of other images. The distribution
        equals that of `draw`; the numbers do not.
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

    # ------------------------------------------------------------------ applying
    def apply(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        """Augment normalised images [B, 3, H, W]: image by image on a CPU, all at once on another device."""
        return self.place(self.rounded(images), drawn)

    def rounded(self, images: torch.Tensor) -> torch.Tensor:
        """Images as padding leaves them: minus the padding value and plus it, which rounds their last digit."""
        if not self.pad:
            return images
        value = channels(self.pad_value, images)
        return (images - value).add_(value)

    def place(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        """Flipped, cropped and erased copies, without arithmetic. Padding makes a batch contiguous."""
        if images.device.type != "cpu":
            return self._place_together(images, drawn)
        out = self.empty_like(images)
        for row in range(len(images)):
            self.place_one(images[row], out[row], drawn, row)
        return out

    def empty_like(self, images: torch.Tensor) -> torch.Tensor:
        """Allocate the result: in the memory order of `images`, or contiguous if there is padding."""
        return torch.empty_like(images, memory_format=torch.contiguous_format if self.pad else torch.preserve_format)

    def place_one(self, image: torch.Tensor, out: torch.Tensor, drawn: Draws, row: int) -> None:
        """Copy image `row`, [3, H, W], into `out`, by slices."""
        height, width = image.shape[1:]
        if drawn.flip[row]:
            image = image.flip(2)
        (rows, from_rows), (columns, from_columns) = self.window(drawn, row, (height, width))
        out[:, rows, columns] = image[:, from_rows, from_columns]
        if self.pad:
            border = channels(self.pad_value, image)[0]
            for strip in beyond(out, rows, columns):
                strip.copy_(border.expand_as(strip))
        y, x, tall, wide = drawn.box[row].tolist()
        if tall:
            box = out[:, y : y + tall, x : x + wide]
            box.copy_(channels(self.erase_value, image)[0].expand_as(box))

    def window(self, drawn: Draws, row: int, size: tuple[int, int]) -> list[tuple[slice, slice]]:
        """For rows, then columns: position of image `row` in its window of the padded image, and its visible part."""
        return [
            _shifted(self.pad - int(start[row]) if self.pad else 0, length)
            for start, length in zip((drawn.top, drawn.left), size, strict=True)
        ]

    def _place_together(self, images: torch.Tensor, drawn: Draws) -> torch.Tensor:
        """Place all images by one gather, for devices on which each small copy is a kernel launch."""
        height, width = images.shape[2:]
        flip, top, left, box = (
            torch.from_numpy(part).to(images.device) for part in (drawn.flip, drawn.top, drawn.left, drawn.box)
        )
        rows, columns = (torch.arange(size, device=images.device) for size in (height, width))
        y, x = rows + top[:, None] - self.pad, columns + left[:, None] - self.pad
        inside = _within(y, 0, height)[:, None, :, None] & _within(x, 0, width)[:, None, None, :]
        y, x = y.clamp(0, height - 1), torch.where(flip[:, None], width - 1 - x, x).clamp(0, width - 1)
        picture, plane = (torch.arange(count, device=images.device) for count in images.shape[:2])
        moved = images[picture[:, None, None, None], plane[:, None, None], y[:, None, :, None], x[:, None, None, :]]
        moved = torch.where(inside, moved, channels(self.pad_value, images))
        (first, before), (last, end) = box.t()[:2, :, None], (box[:, :2] + box[:, 2:]).t()[:, :, None]
        erased = _within(rows, first, last)[:, None, :, None] & _within(columns, before, end)[:, None, None, :]
        out = torch.where(erased, channels(self.erase_value, images), moved)
        return self.empty_like(images).copy_(out)


def channels(values: Sequence[float], images: torch.Tensor) -> torch.Tensor:
    """One number per channel as [1, C, 1, 1], with the type and device of `images`; read-only."""
    return _channels(tuple(values), images.dtype, images.device)


@functools.lru_cache(maxsize=64)
def _channels(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1).to(device, dtype)


Picture = TypeVar("Picture", torch.Tensor, np.ndarray)


def beyond(window: Picture, rows: slice, columns: slice) -> list[Picture]:
    """Parts of a window [C, H, W] above, below, left and right of the area that an image covers; they may be empty."""
    return [
        window[:, : rows.start],
        window[:, rows.stop :],
        window[:, :, : columns.start],
        window[:, :, columns.stop :],
    ]


def _shifted(by: int, length: int) -> tuple[slice, slice]:
    """Visible part of `length` pixels shifted by `by`: destination slice and source slice."""
    start = min(max(0, by), length)
    stop = max(start, min(length, length + by))
    return slice(start, stop), slice(start - by, stop - by) if stop > start else slice(0, 0)


def _within(places: torch.Tensor, low: torch.Tensor | int, high: torch.Tensor | int) -> torch.Tensor:
    return (places >= low) & (places < high)
