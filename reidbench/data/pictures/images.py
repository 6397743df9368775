"""Decode and resize images with Pillow, and cache decoded images in memory if they fit."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from reidbench.errors import DataError
from reidbench.files.names import shown

from .lmdbfile import read_value
from .orientation import orientation, upright
from .size import ImageSize

# The decoded formats and their extensions in lower case: the only list of what readers accept as an image. Pillow
# supports dozens more formats, one of them through an external program.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
ENDINGS = tuple(ending for endings in FORMATS.values() for ending in endings)
# Also images, but of formats that are not read: readers count and name them.
FOREIGN_ENDINGS = (
    ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".pam", ".qoi", ".tga", ".pcx", ".dib", ".ico", ".dds", ".sgi", ".ras",
    ".psd", ".xcf", ".svg", ".eps", ".exr", ".hdr", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2",
)  # fmt: skip
MOST_PIXELS = 89_478_485  # per image, Pillow's own limit: a quarter of a GB
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
MOST_BYTES = 1 << 28  # per file; images of this field have some kB


class HasImages(Protocol):
    """Anything with a length and `image(index)`: splits and sidecars."""

    def __len__(self) -> int: ...
    def image(self, index: int) -> np.ndarray: ...


def read_image(path: Path) -> np.ndarray:
    """Decode a file, or a value of an lmdb, to uint8 [height, width, 3], RGB.

    Raises DataError, naming the file, if it is missing, not an image, truncated or absurdly large.
    """
    return decode_image(read_encoded(path), str(path))


def read_encoded(path: Path) -> bytes:
    """Bytes of an image file, or of a key's value for a path below an lmdb. Raises DataError."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):  # reading a pipe would never end, nor would a link to a device
            raise DataError(f"{shown(path)}: cannot be decoded: it is not a file")
        if info.st_size > MOST_BYTES:
            raise DataError(f"{shown(path)}: cannot be decoded: {info.st_size} bytes exceed the limit of an image")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        value = read_value(path)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise DataError(f"{shown(path)}: cannot be decoded: {getattr(error, 'strerror', None) or error}") from None
    if value is None:
        raise DataError(f"{shown(path)}: no such image")
    return value


def decode_image(data: bytes, name: str, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """Decode bytes to uint8 [height, width, 3], RGB. Raises DataError as `name: cannot be decoded: why`.

    The number of pixels is compared with `most_pixels`, at most MOST_PIXELS, before any is decoded.

    Takes the first of several frames and the upper eight of 16 bits per channel, drops transparency, and applies the
    EXIF orientation, as viewers do.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
            if image.width * image.height > most_pixels:
                raise ValueError(f"{image.width} x {image.height} pixels exceed the limit of {most_pixels}")
            pixels = np.asarray(_eight_bits(image).convert("RGB"))
            return upright(pixels, orientation(image))
    except UnidentifiedImageError:
        kinds = ", ".join(FORMATS)
        why = f"its {len(data)} bytes are not in a supported format ({kinds})" if data else "it is empty (0 bytes)"
        raise DataError(f"{shown(name)}: cannot be decoded: {why}") from None
    except Exception as error:  # noqa: BLE001 - Pillow's readers raise many kinds for a damaged file
        why = shown(str(error) or type(error).__name__)
        raise DataError(f"{shown(name)}: cannot be decoded: {why}") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Reduce grey images of 16 bits, which Pillow itself would clip at 255, leaving nearly all of them white."""
    if not image.mode.startswith("I"):
        if image.mode == "F":
            raise ValueError("its pixels are floats of unknown range")
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        raise ValueError("its pixels have more than 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 [h, w, 3] to `size` = (height, width), with antialiasing when it shrinks.

    Bilinear, unless `size` is an `ImageSize` with another filter.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), FILTERS[ImageSize.given(size).resize]))


def load_pixels(
    images: HasImages,
    size: tuple[int, int],
    *,
    limit: int | None = None,
    workers: int = 0,
    picture: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray | None:
    """Load all images at one size, uint8 [N, height, width, 3]; None if they exceed `limit` bytes.

    Decoding uses no randomness, so `workers` threads change only the time (Pillow decodes outside the GIL). The default
    limit is a quarter of the machine's memory. `picture(index)` replaces Pillow's decoding and resizing.
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
    return pixels


def memory_limit() -> int:
    """A quarter of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
