"""Fast reader from files to a batch: decode, resize, flip, crop, normalise and erase, image by image.

Requires the extra `fast` (simplejpeg, opencv-python-headless). An image stays in the processor's cache from its first
byte to its place in the batch, unlike in a chain of transforms over whole batches. It must be requested by name and is
never chosen by what is installed, since resized pixels may differ from Pillow's by one grey level.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from reidbench.data.hidden import Images
from reidbench.data.pictures.images import MOST_PIXELS, HasImages, decode_image
from reidbench.data.pictures.orientation import UPRIGHT, jpeg_orientation, upright
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.training.networks.embedder import Preprocess

from .augment import Augment, Draws, beyond

JPEG = b"\xff\xd8\xff"
PLAIN = ("Gray", "YCbCr", "RGB")  # colour spaces that both decoders convert to the same RGB


class FastUnavailable(ReidbenchError):
    """Raised if the libraries of the extra `fast` are not installed."""


@functools.cache
def libraries() -> tuple[Any, Any]:
    """Return (cv2, simplejpeg). Raises FastUnavailable with the packages to install."""
    try:
        cv2, simplejpeg = (importlib.import_module(name) for name in ("cv2", "simplejpeg"))
    except ImportError as error:
        raise FastUnavailable(
            f"reading images with fast: true requires an extra: pip install 'reidbench[fast]' ({error})"
        ) from None
    cv2.setNumThreads(1)  # images are spread over workers, so threads within one image would compete with them
    return cv2, simplejpeg


def decode(data: bytes, name: str) -> np.ndarray:
    """Decode bytes to uint8 [height, width, 3], RGB; anything but a plain JPEG goes to Pillow. Raises DataError."""
    if data.startswith(JPEG):
        try:
            height, width, colours, _ = libraries()[1].decode_jpeg_header(data)
            # Pillow reports images that are too large, and handles inverted inks (CMYK, YCCK).
            if height * width <= MOST_PIXELS and colours in PLAIN:
                pixels: np.ndarray = libraries()[1].decode_jpeg(data, colorspace="RGB")
                turn = jpeg_orientation(data)
                return pixels if turn == UPRIGHT else upright(pixels, turn)
        except ValueError:  # damaged: Pillow reports it
            return decode_image(data, name)
    return decode_image(data, name)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 [h, w, 3] to `size` = (height, width): bilinear, blurred first along each side that shrinks.

    Enlarging agrees with Pillow's bilinear within one grey level. For shrinking, OpenCV's bilinear does not antialias;
    the blur makes its filter as wide as Pillow's, whose triangle of half width s (the ratio) has the variance s^2 / 6,
    while that of bilinear sampling has 1 / 6.
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
    """Function from an index to that image at `size`, uint8 [height, width, 3].

    Raises ReidbenchError for any filter but bilinear: OpenCV's bicubic kernel differs from Pillow's.
    """
    if (kind := ImageSize.given(size).resize) != "bilinear":
        raise ReidbenchError(
            f"fast: true supports only bilinear resizing, not {kind}: set fast: false, or remove `resize`"
        )
    if not isinstance(images, Images):
        return lambda index: resize(images.image(index), size)

    def read(index: int) -> np.ndarray:
        name, data = images._encoded(index)
        return resize(decode(data, name), size)

    return read


class FastWriter:
    """Writes images by tables and slices, each value once: the values of `Preprocess.normalise`, to the last bit.

    Draws are those of `Augment.draw_rows`, and padded images are not rounded as by `Augment.rounded`.
    """

    def __init__(self, preprocess: Preprocess, augment: Augment | None = None) -> None:
        height, width = preprocess.size
        self.size = (height, width)
        self.augment = augment
        # The same values as Preprocess.normalise, to the last bit: there are only 256 values per channel.
        values = torch.arange(256, dtype=torch.uint8)[None, :, None, None].expand(1, 256, 1, 3)
        self.tables = np.ascontiguousarray(preprocess.normalise(values)[0, :, :, 0].numpy())

    def empty(self, count: int) -> torch.Tensor:
        """Allocate a contiguous batch, float32 [B, 3, H, W]."""
        return torch.from_numpy(np.empty((count, 3, *self.size), np.float32))

    def write(self, pixels: np.ndarray, out: torch.Tensor, draws: Draws | None, row: int) -> None:
        """Write pixels uint8 [H, W, 3] into `out` [3, H, W], with the numbers drawn for image `row`."""
        into = out.numpy()
        if self.augment is None or draws is None:
            self._normalise(pixels, into)
            return
        if draws.flip[row]:
            pixels = libraries()[0].flip(pixels, 1)
        (rows, from_rows), (columns, from_columns) = self.augment.window(draws, row, self.size)
        for strip in beyond(into, rows, columns):
            strip[:] = _column(self.augment.pad_value)
        self._normalise(pixels[from_rows, from_columns], into[:, rows, columns])
        y, x, tall, wide = draws.box[row].tolist()
        if tall:
            into[:, y : y + tall, x : x + wide] = _column(self.augment.erase_value)

    def _normalise(self, picture: np.ndarray, out: np.ndarray) -> None:
        """Normalise uint8 [h, w, 3] into float32 [3, h, w], plane by plane."""
        if not picture.size:
            return
        cv2 = libraries()[0]
        for channel, plane in enumerate(cv2.split(picture)):
            cv2.LUT(plane, self.tables[channel], dst=out[channel])


def _column(values: Sequence[float]) -> np.ndarray:
    return np.array(tuple(values), np.float32)[:, None, None]
