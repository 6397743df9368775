"""Which triangle is in front at each pixel: a z-buffer without a Python loop over faces.

The boxes of all faces are unrolled into one long row of fragments, tested at once, and the nearest fragment
of each pixel is found by a maximum over packed (depth, fragment) integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Floats, Ints

_DEPTH_STEPS = 1e6  # depth resolution: a millionth of a body height
_DEPTH_SHIFT = 4.0  # depths lie well within -4 .. 4
_FRAGMENT_BITS = 24


@dataclass(frozen=True)
class Fragments:
    """The visible surface: P covered pixels (flat indices), their faces [P] and barycentric weights [P,3]."""

    pixels: Ints
    faces: Ints
    weights: Floats


def rasterise(points: Floats, depth: Floats, faces: Ints, height: int, width: int) -> Fragments:
    """Cover a height x width grid with the faces that run counter-clockwise on the screen.

    `points` [V,2] are x to the right and y down, in pixels; pixel (row, column) is sampled at its middle
    (column + 0.5, row + 0.5). `depth` [V] grows towards the viewer.
    """
    corners = points[faces]
    area = _turn(corners[:, 0], corners[:, 2], corners[:, 1])
    low = np.maximum(np.ceil(corners.min(1) - 0.5), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1) - 0.5), (width - 1, height - 1)).astype(np.int64)
    kept = np.flatnonzero((area > 1e-9) & (high >= low).all(1))
    owner, columns, rows = _unroll(low[kept], high[kept])
    weights = _barycentric(
        corners[kept], area[kept], owner, columns.astype(np.float64) + 0.5, rows.astype(np.float64) + 0.5
    )
    inside = np.flatnonzero((weights >= 0).all(0))
    owner, weights = owner[inside], weights[:, inside]
    z = (depth[faces[kept]].T[:, owner] * weights).sum(0)
    packed = ((z + _DEPTH_SHIFT) * _DEPTH_STEPS).astype(np.int64) << _FRAGMENT_BITS
    nearest = np.full(height * width, -1, dtype=np.int64)
    np.maximum.at(nearest, rows[inside] * width + columns[inside], packed | np.arange(len(inside)))
    pixels = np.flatnonzero(nearest >= 0)
    front = nearest[pixels] & ((1 << _FRAGMENT_BITS) - 1)
    return Fragments(pixels, kept[owner[front]], weights[:, front].T)


def _turn(a: Floats, b: Floats, c: Floats) -> Floats:
    """Twice the signed area of the triangles a, b, c: [F]."""
    area: Floats = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    return area


def _unroll(low: Ints, high: Ints) -> tuple[Ints, Ints, Ints]:
    """One entry for each pixel of each box: the box it belongs to, its column and its row."""
    size = high - low + 1
    count = size[:, 0] * size[:, 1]
    owner = np.repeat(np.arange(len(low)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    rows, columns = np.divmod(place, size[owner, 0])
    return owner, columns + low[owner, 0], rows + low[owner, 1]


def _barycentric(corners: Floats, area: Floats, owner: Ints, x: Floats, y: Floats) -> Floats:
    """Weights [3,N] of the corners at points that belong to faces `owner`; all positive means inside."""
    (x0, y0), (x1, y1), (x2, y2) = corners.transpose(1, 2, 0)
    slope_x1, slope_y1 = (y0 - y2) / area, (x2 - x0) / area
    slope_x2, slope_y2 = (y1 - y0) / area, (x0 - x1) / area
    start1, start2 = -(slope_x1 * x0 + slope_y1 * y0), -(slope_x2 * x0 + slope_y2 * y0)
    weights = np.empty((3, len(owner)))
    weights[1] = slope_x1[owner] * x + slope_y1[owner] * y + start1[owner]
    weights[2] = slope_x2[owner] * x + slope_y2[owner] * y + start2[owner]
    weights[0] = 1.0 - weights[1] - weights[2]
    return weights
