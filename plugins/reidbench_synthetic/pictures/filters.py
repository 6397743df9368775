"""Image filters in plain numpy: small, and the same on every machine."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from reidbench.rendering.arrays import Bytes, Ints, Light


def resize(image: Light, height: int, width: int) -> Light:
    """Resize [H,W,C] bilinearly with aligned pixel centres; does not smooth when shrinking."""
    rows, next_rows, row_share = _taps(image.shape[0], height)
    columns, next_columns, column_share = _taps(image.shape[1], width)
    tall = image[rows] * (1 - row_share[:, None, None]) + image[next_rows] * row_share[:, None, None]
    share = column_share[None, :, None]
    return cast(Light, tall[:, columns] * (1 - share) + tall[:, next_columns] * share)


def _taps(before: int, after: int) -> tuple[Ints, Ints, Light]:
    """Return for each new position its two old neighbours, and the share of the second."""
    place = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    first = place.astype(np.int64)
    return first, np.minimum(first + 1, before - 1), (place - first).astype(np.float32)


def blur(image: Light, sigma: float) -> Light:
    """Blur [H,W,C] with a Gaussian; edges are repeated. Below 0.15 pixels nothing changes."""
    if sigma < 0.15:
        return image
    reach = max(1, math.ceil(2.5 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        pads = [(0, 0), (0, 0), (0, 0)]
        pads[axis] = (reach, reach)
        padded = np.pad(image, pads, mode="edge")
        length = image.shape[axis]
        total = np.zeros_like(image)
        for step, weight in enumerate(kernel):
            total += weight * np.take(padded, range(step, step + length), axis=axis)
        image = total
    return image


def saturate(image: Light, amount: float) -> Light:
    """Move the colours of [H,W,3] away from their grey (amount over 1) or towards it (under 1)."""
    grey = image.mean(2, keepdims=True)
    return cast(Light, grey + np.float32(amount) * (image - grey))


def to_bytes(image: Light) -> Bytes:
    """Convert 0..1 to 0..255, rounded and clipped."""
    return cast(Bytes, (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
