"""The fast way from files to a batch: decode, resize, flip, crop, normalise and erase, picture by picture.

Needs the extra `fast` (simplejpeg, opencv-python-headless). A picture stays in the processor's cache from its first
byte to its place in the batch, which no chain of transforms over whole batches does. It is asked for by name and never
chosen by what happens to be installed, since resized pixels may differ from Pillow's by a grey level.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from reidbench.data.hidden import Images
from reidbench.data.pictures.images import MOST_PIXELS, HasImages, decode_image, load_pixels
from reidbench.data.pictures.orientation import UPRIGHT, jpeg_orientation, upright
from reidbench.errors import ReidbenchError
from reidbench.training.devices import WHOLE, Share
from reidbench.training.networks.embedder import Preprocess

from .augment import Augment, Draws

JPEG = b"\xff\xd8\xff"
PLAIN = ("Gray", "YCbCr", "RGB")  # what both decoders turn into the same RGB


class FastUnavailable(ReidbenchError):
    """The libraries of the extra `fast` are not installed."""


@functools.cache
def libraries() -> tuple[Any, Any]:
    """(cv2, simplejpeg). Raises FastUnavailable with what to install."""
    try:
        cv2, simplejpeg = (importlib.import_module(name) for name in ("cv2", "simplejpeg"))
    except ImportError as error:
        raise FastUnavailable(f"fast pictures need the extra: pip install 'reidbench[fast]' ({error})") from None
    cv2.setNumThreads(1)  # pictures are spread over workers; threads within one would only get in their way
    return cv2, simplejpeg


def decode(data: bytes, name: str) -> np.ndarray:
    """Encoded bytes to uint8 [height, width, 3], RGB; what is no plain JPEG goes to Pillow. Raises DataError."""
    if data.startswith(JPEG):
        try:
            height, width, colours, _ = libraries()[1].decode_jpeg_header(data)
            # Pillow's reader names those that are larger, and knows that inks (CMYK, YCCK) are stored inverted.
            if height * width <= MOST_PIXELS and colours in PLAIN:
                pixels: np.ndarray = libraries()[1].decode_jpeg(data, colorspace="RGB")
                turn = jpeg_orientation(data)
                return pixels if turn == UPRIGHT else upright(pixels, turn)
        except ValueError:  # damaged: Pillow names it
            return decode_image(data, name)
    return decode_image(data, name)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 [h, w, 3] to `size` = (height, width): bilinear, smoothed first along each side that shrinks.

    Growing, it is Pillow's bilinear within one grey level. Shrinking, OpenCV's bilinear would not smooth; the blur
    makes its filter as wide as Pillow's, whose triangle of half width s (the ratio) has the variance s^2 / 6, while
    that of bilinear sampling has 1 / 6.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    cv2 = libraries()[0]
    down, across = (math.sqrt(max(s * s - 1, 0) / 6) for s in (height / size[0], width / size[1]))
    if down or across:
        kernel = (2 * math.ceil(2 * across) + 1, 2 * math.ceil(2 * down) + 1)
        image = cv2.GaussianBlur(image, kernel, sigmaX=across or 1e-6, sigmaY=down or 1e-6)
    resized: np.ndarray = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    return resized


def picture_reader(images: HasImages, size: tuple[int, int]) -> Callable[[int], np.ndarray]:
    """A function from an index to that picture at `size`, uint8 [height, width, 3]."""
    if not isinstance(images, Images):
        return lambda index: resize(images.image(index), size)

    def read(index: int) -> np.ndarray:
        name, data = images._encoded(index)
        return resize(decode(data, name), size)

    return read


class FastBatches:
    """Batches straight from files, or from decoded pictures where all fit into `limit` bytes.

    What happens to a picture stands in its own row of random numbers, drawn before any worker starts, so that the
    number of workers changes nothing.
    """

    def __init__(
        self,
        images: HasImages,
        preprocess: Preprocess,
        augment: Augment | None = None,
        *,
        limit: int | None = None,
        workers: int = 0,
    ) -> None:
        libraries()
        height, width = preprocess.size
        self.size = (height, width)
        self.augment = augment
        self.workers = workers
        # The same numbers as Preprocess.normalise, to the last bit: there are only 256 values a channel.
        values = torch.arange(256, dtype=torch.uint8)[None, :, None, None].expand(1, 256, 1, 3)
        self.tables = np.ascontiguousarray(preprocess.normalise(values)[0, :, :, 0].numpy())
        read = picture_reader(images, self.size)
        held = load_pixels(images, self.size, limit=limit, workers=workers, picture=read)
        self.picture = read if held is None else held.__getitem__

    def batch(
        self, indices: np.ndarray, generator: torch.Generator | None = None, share: Share = WHOLE
    ) -> torch.Tensor:
        """Normalised pictures float32 [B, 3, H, W]; augmented when there is an Augment, by numbers of `generator`.

        `indices` are a `share` of a batch; numbers are drawn for all of it.
        """
        indices = np.asarray(indices)
        out = np.empty((len(indices), 3, *self.size), np.float32)
        draws = None
        if self.augment is not None:
            whole = share.whole(len(indices))
            draws = self.augment.draw(whole, self.size, generator or torch.Generator()).part(share.part(whole))

        def one(row: int) -> None:
            picture = self.picture(int(indices[row]))
            if draws is None:
                self._normalise(picture, out[row])
            else:
                self._augmented(picture, out[row], draws, row)

        if self.workers > 1:
            with ThreadPoolExecutor(self.workers) as pool:
                list(pool.map(one, range(len(indices))))
        else:
            for row in range(len(indices)):
                one(row)
        return torch.from_numpy(out)

    def _augmented(self, picture: np.ndarray, out: np.ndarray, draws: Draws, row: int) -> None:
        assert self.augment is not None
        height, width = self.size
        if draws.flip[row]:
            picture = libraries()[0].flip(picture, 1)
        # Padding and cropping is a shift: what the window shows beyond the picture is padding.
        down, right = self.augment.pad - int(draws.top[row]), self.augment.pad - int(draws.left[row])
        top, left = max(0, down), max(0, right)
        bottom, end = min(height, height + down), min(width, width + right)
        if down or right:
            value = np.array(tuple(self.augment.pad_value), np.float32)[:, None, None]
            out[:, :top], out[:, bottom:], out[:, :, :left], out[:, :, end:] = value, value, value, value
            picture = picture[top - down : bottom - down, left - right : end - right]
        self._normalise(picture, out[:, top:bottom, left:end])
        y, x, tall, wide = draws.box[row].tolist()
        if tall:
            out[:, y : y + tall, x : x + wide] = np.array(tuple(self.augment.erase_value), np.float32)[:, None, None]

    def _normalise(self, picture: np.ndarray, out: np.ndarray) -> None:
        """uint8 [h, w, 3] into float32 [3, h, w], plane by plane."""
        cv2 = libraries()[0]
        for channel, plane in enumerate(cv2.split(picture)):
            cv2.LUT(plane, self.tables[channel], dst=out[channel])
