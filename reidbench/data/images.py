"""Decoding and resizing with Pillow, and keeping decoded pictures in memory where they fit."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ..errors import DataError
from .lmdbfile import read_value


class HasImages(Protocol):
    """Anything with a length and `image(index)`: splits and sidecars."""

    def __len__(self) -> int: ...
    def image(self, index: int) -> np.ndarray: ...


def read_image(path: Path) -> np.ndarray:
    """Decode a file, or a value of an lmdb, to uint8 [height, width, 3], RGB.

    Raises DataError, naming the file, for what is missing, is no image, is cut short or is absurdly large.
    """
    return decode_image(read_encoded(path), str(path))


def read_encoded(path: Path) -> bytes:
    """The bytes of an image file; below an lmdb they are the value of that key. Raises DataError."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        value = read_value(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be decoded: {error}") from None
    if value is None:
        raise DataError(f"{path}: no such image")
    return value


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Encoded bytes to uint8 [height, width, 3], RGB. Raises DataError as `name: cannot be decoded: why`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: cannot be decoded: {error}") from None


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 [h, w, 3] to `size` = (height, width): bilinear, antialiased where it shrinks."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def load_pixels(
    images: HasImages,
    size: tuple[int, int],
    *,
    limit: int | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    picture: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray | None:
    """All pictures at one size, uint8 [N, height, width, 3], or None when they exceed `limit` bytes.

    Decoding is free of randomness, so `workers` threads change the time and nothing else (Pillow decodes
    outside the interpreter lock). The default limit is a quarter of the machine's memory. `picture(index)` may
    decode and resize in another way than Pillow's.
    """
    count = len(images)
    if count * size[0] * size[1] * 3 > (memory_limit() if limit is None else limit):
        return None
    pixels = np.empty((count, *size, 3), dtype=np.uint8)

    def load(index: int) -> None:
        pixels[index] = resize(images.image(index), size) if picture is None else picture(index)

    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(load, range(count), chunksize=64))
        return pixels
    for index in range(count):
        load(index)
        if progress is not None and index % 1000 == 999:
            progress(index + 1, count)
    return pixels


def memory_limit() -> int:
    """A quarter of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
