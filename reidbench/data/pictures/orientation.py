"""Image orientation: cameras store an image as the sensor saw it and record in EXIF how viewers must rotate it."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

UPRIGHT = 1
_MARK = b"Exif\0\0"
_TAG, _SHORT, _LONG = 0x0112, 3, 4
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, of a loaded image; 1 (upright) if it is missing or damaged.

    Pillow rotates a TIFF when it loads it, and then returns no EXIF.
    """
    block = image.info.get("exif")
    return in_exif(block) if isinstance(block, bytes) else UPRIGHT


def jpeg_orientation(data: bytes) -> int:
    """EXIF orientation of an encoded JPEG. Reads only the header, and only if it contains EXIF."""
    if _MARK not in data:
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return orientation(image)
    except (OSError, SyntaxError, ValueError):  # the decoder reports the error
        return UPRIGHT


def in_exif(block: bytes) -> int:
    """Orientation in an EXIF block, which has a TIFF header and first directory; 1 if it cannot be read.

    Pillow's own reader warns about or raises for damage elsewhere in the block.
    """
    block = block.removeprefix(_MARK)
    order = _ORDERS.get(block[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", block, at)
            if tag == _TAG and count == 1 and kind in (_SHORT, _LONG):
                (found,) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", block, at + 8)
                return int(found) if 1 <= found <= 8 else UPRIGHT
    except struct.error:  # truncated
        return UPRIGHT
    return UPRIGHT


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Orient pixels [height, width, 3] as a viewer shows them; 5 to 8 swap height and width.

    EXIF gives the sides of the image where the file's first row and first column are: top and left in 1, right and top
    in 6, the usual portrait.
    """
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
