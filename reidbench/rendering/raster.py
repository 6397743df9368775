"""Visible triangle and interpolated values at each pixel, without a Python loop over faces.

One function offers two fill rules, since pixels of both are stored: rendered sets and their truth use `barycentric`,
structure maps of bodies use `scanline`. They differ if an edge runs through a pixel's centre, in the visible side of a
triangle, and in the last digits of depths and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .arrays import Floats, Ints

Fill = Literal["barycentric", "scanline"]
_DEPTH_STEPS = 1e6  # depth resolution of `barycentric`: a millionth of a body height
_DEPTH_SHIFT = 4.0  # its depths are well within -4 .. 4
_FRAGMENT_BITS = 24
_CHUNK = 2_000_000  # pixels of boxes that `scanline` fills at a time: limits memory for any mesh


@dataclass(frozen=True)
class Fragments:
    """Visible surface: P covered pixels (flat indices), their faces [P], and the values [P, K] interpolated there."""

    pixels: Ints
    faces: Ints
    values: Floats


def rasterise(
    points: Floats, depth: Floats, values: Floats, faces: Ints, shape: tuple[int, int], fill: Fill
) -> Fragments:
    """Rasterise triangles [F, 3] on a grid of `shape` = (height, width).

    `points` [V, 2] are x to the right and y down, in pixels; pixel (row, column) is sampled at its centre (column +
    0.5, row + 0.5). `depth` [V] grows towards the viewer; `values` [V, K] are interpolated linearly.

    fill: ``barycentric`` draws faces that run counter-clockwise on the screen, including their edges, and compares
    depths (within 4 of 0) in millionths. ``scanline`` draws both sides, and assigns a pixel on an edge of two faces to
    one of them; depths may have any unit.
    """
    if fill == "barycentric":
        return _nearest_in_boxes(points, depth, values, faces, shape)
    return _nearest_in_rows(points, depth, values, faces, shape)


def _unroll(count: Ints) -> tuple[Ints, Ints]:
    """Expand counts [N] to one entry per item: the index of its group, and its number in the group from 0."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)


# ---------------------------------------------------------------------- barycentric
def _nearest_in_boxes(points: Floats, depth: Floats, values: Floats, faces: Ints, shape: tuple[int, int]) -> Fragments:
    """Test all pixels of all faces' boxes at once; a maximum over packed (depth, fragment) is the nearest."""
    height, width = shape
    corners = points[faces]
    area = _doubled_area(corners[:, 0], corners[:, 2], corners[:, 1])
    low = np.maximum(np.ceil(corners.min(1) - 0.5), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1) - 0.5), (width - 1, height - 1)).astype(np.int64)
    kept = np.flatnonzero((area > 1e-9) & (high >= low).all(1))
    low, size = low[kept], (high - low + 1)[kept]
    owner, place = _unroll(size[:, 0] * size[:, 1])
    rows, columns = np.divmod(place, size[owner, 0])
    rows, columns = rows + low[owner, 1], columns + low[owner, 0]
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
    shown = kept[owner[front]]
    return Fragments(pixels, shown, (values[faces[shown]] * weights[:, front].T[:, :, None]).sum(1))


def _doubled_area(a: Floats, b: Floats, c: Floats) -> Floats:
    """Twice the signed area of the triangles a, b, c: [F]."""
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])


def _barycentric(corners: Floats, area: Floats, owner: Ints, x: Floats, y: Floats) -> Floats:
    """Barycentric weights [3, N] of points that belong to faces `owner`; all non-negative means inside."""
    (x0, y0), (x1, y1), (x2, y2) = corners.transpose(1, 2, 0)
    slope_x1, slope_y1 = (y0 - y2) / area, (x2 - x0) / area
    slope_x2, slope_y2 = (y1 - y0) / area, (x0 - x1) / area
    start1, start2 = -(slope_x1 * x0 + slope_y1 * y0), -(slope_x2 * x0 + slope_y2 * y0)
    weights = np.empty((3, len(owner)))
    weights[1] = slope_x1[owner] * x + slope_y1[owner] * y + start1[owner]
    weights[2] = slope_x2[owner] * x + slope_y2[owner] * y + start2[owner]
    weights[0] = 1.0 - weights[1] - weights[2]
    return weights


# ---------------------------------------------------------------------- scanline
def _nearest_in_rows(points: Floats, depth: Floats, values: Floats, faces: Ints, shape: tuple[int, int]) -> Fragments:
    """Fill each face row by row between the two edges that a row intersects."""
    nearest = np.full(shape[0] * shape[1], -np.inf)
    face = np.empty(len(nearest), dtype=np.int64)
    shown = np.empty((len(nearest), values.shape[1]))
    table = np.column_stack([points[:, 0], depth, values])  # values to interpolate along edges, then along rows
    for part in _portions(points, faces, shape):
        owner, pixels, mixed = _spans(table, points[:, 1], faces[part], shape)
        np.maximum.at(nearest, pixels, mixed[:, 0])
        front = mixed[:, 0] == nearest[pixels]
        face[pixels[front]] = part[owner[front]]
        shown[pixels[front]] = mixed[front, 1:]
    covered = np.flatnonzero(nearest > -np.inf)
    return Fragments(covered, face[covered], shown[covered])


def _portions(points: Floats, faces: Ints, shape: tuple[int, int]) -> Iterator[Ints]:
    """Faces that touch the picture, in portions of about _CHUNK pixels of their boxes."""
    corners = points[faces]
    limit = np.array([shape[1], shape[0]], dtype=np.float64)
    low, high = np.clip(corners.min(1), 0, limit), np.clip(corners.max(1), 0, limit)
    seen = np.flatnonzero((high > low).all(1))
    filled = np.cumsum((high[seen] - low[seen] + 1).prod(1))
    if len(seen):
        yield from np.split(seen, np.flatnonzero(np.diff(filled // _CHUNK)) + 1)


def _spans(table: Floats, y: Floats, faces: Ints, shape: tuple[int, int]) -> tuple[Ints, Ints, Floats]:
    """Faces [P], pixels [P], and depths and values [P, 1 + K] of all covered pixels."""
    face, row = _ranges(y[faces].min(1), y[faces].max(1), shape[0])
    left, right = _cuts(table, y, faces[face], row.astype(np.float64) + 0.5)
    span, column = _ranges(left[:, 0], right[:, 0], shape[1])
    x = left[span, 0]
    share = ((column + 0.5 - x) / (right[span, 0] - x))[:, None]
    mixed = left[span, 1:] + share * (right[span, 1:] - left[span, 1:])
    return face[span], row[span] * shape[1] + column, mixed


def _ranges(begin: Floats, end: Floats, limit: int) -> tuple[Ints, Ints]:
    """For each interval [begin, end), the pixels whose centres are in it: index of the interval, and pixel number."""
    first, last = (np.clip(np.ceil(edge - 0.5), 0, limit).astype(np.int64) for edge in (begin, end))
    owner, place = _unroll(np.maximum(last - first, 0))
    return owner, first[owner] + place


def _cuts(table: Floats, height: Floats, corners: Ints, level: Floats) -> tuple[Floats, Floats]:
    """Rows of `table` [V, K] where level [R] intersects the triangles `corners` [R, 3]: left and right end [R, K].

    An edge intersects if one end is at the level or above and the other below: always two of three edges.
    """
    ends = np.empty((len(corners), 3, table.shape[1]))
    cut = np.empty((len(corners), 3), dtype=bool)
    for edge in range(3):
        a, b = corners[:, edge], corners[:, (edge + 1) % 3]
        cut[:, edge] = (height[a] <= level) != (height[b] <= level)
        rise = np.where(cut[:, edge], height[b] - height[a], 1.0)
        share = np.where(cut[:, edge], (level - height[a]) / rise, 0.0)
        ends[:, edge] = table[a] + share[:, None] * (table[b] - table[a])
    two = ends[cut].reshape(len(corners), 2, table.shape[1])
    swapped = (two[:, 0, 0] > two[:, 1, 0])[:, None]
    return np.where(swapped, two[:, 1], two[:, 0]), np.where(swapped, two[:, 0], two[:, 1])
