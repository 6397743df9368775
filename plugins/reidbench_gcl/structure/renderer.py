"""Bodies as GCL's structure sees them: orthographic, grey under a light at the camera, on white, turned at will.

The frame is the picture's: x to the right, y up, z to the viewer. A positive angle turns the side that faces the
viewer towards the right edge of the picture (counter-clockwise seen from above), which is also the sense of the
synthetic truth's yaw. HMR's `rotated` works in a frame whose y points down and turns the other way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLES = 2  # along both axes of a pixel
AMBIENT, HEAD_LIGHT, ALBEDO = 0.55, 0.35, 0.85
_CHUNK = 2_000_000  # pixels of boxes rasterised at a time: bounds memory, whatever the mesh


@dataclass(frozen=True)
class Camera:
    """Orthographic: column = `scale[0]` * x + `origin[0]`, row = `origin[1]` - `scale[1]` * y, in pixels.

    Pixel (row, column) covers [column, column + 1) x [row, row + 1).
    """

    scale: tuple[float, float]
    origin: tuple[float, float]

    @classmethod
    def fit(
        cls, vertices: np.ndarray, size: tuple[int, int], fill: float = 0.94, crop: tuple[int, int] | None = None
    ) -> Camera:
        """The camera in whose middle a body [V, 3] fills a fraction `fill` of the height (or of the width).

        `crop` is the original picture's height and width, whose shape the body keeps when the picture is
        stretched to `size`. Raises ValueError for a body without extent.
        """
        height, width = crop or size
        low, high = vertices[:, :2].min(0), vertices[:, :2].max(0)
        extent = high - low
        if not (extent > 0).all():
            raise ValueError("its vertices span no area")
        scale = fill * min(height / extent[1], width / extent[0])
        across, down = scale * size[1] / width, scale * size[0] / height
        middle = (low + high) / 2
        return cls((across, down), (size[1] / 2 - across * middle[0], size[0] / 2 + down * middle[1]))

    @classmethod
    def weak_perspective(
        cls, cam: Sequence[float] | np.ndarray, size: tuple[int, int], crop: tuple[int, int] | None = None
    ) -> Camera:
        """HMR's (s, tx, ty): s * (x + tx), s * (y + ty), y down, from -1 to 1 over the square around the picture.

        The square has the original picture's longer side and its middle; `crop` is its height and width.
        """
        height, width = crop or size
        half = max(height, width) / 2
        s, tx, ty = (float(value) for value in cam)
        stretch = size[1] / width, size[0] / height
        across, down = half * s * stretch[0], half * s * stretch[1]
        return cls((across, down), (size[1] / 2 + across * tx, size[0] / 2 + down * ty))


def in_view(vertices: np.ndarray, up: str) -> np.ndarray:
    """Vertices [V, 3] in the picture's frame.

    `up` names their own: "y" is that frame; "-y" has y down and z away from the viewer, "z" has z up and -y to the
    viewer. All are turns, so that left stays left.
    """
    x, y, z = vertices.T
    axes = {"y": (x, y, z), "-y": (x, -y, -z), "z": (x, z, -y)}
    return np.stack(axes[up], 1)


def turned(vectors: np.ndarray, degrees: float) -> np.ndarray:
    """Vectors [V, 3] turned about the vertical axis through 0; whole turns change no bit."""
    if degrees % 360 == 0:
        return vectors
    angle = math.radians(degrees % 360)
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([c * vectors[:, 0] + s * vectors[:, 2], vectors[:, 1], c * vectors[:, 2] - s * vectors[:, 0]], 1)


def turned_body(vertices: np.ndarray, degrees: float) -> np.ndarray:
    """A body [V, 3] turned about the vertical axis through the mean of its vertices."""
    if degrees % 360 == 0:
        return vertices
    middle = vertices.mean(0) * (1, 0, 1)  # a point of the axis
    return turned(vertices - middle, degrees) + middle


def render_ring(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, size: tuple[int, int], angles: Sequence[float]
) -> np.ndarray:
    """The body as it stands, then turned by each of `angles` (degrees): uint8 [1 + A, H, W], one camera for all."""
    normals = vertex_normals(vertices, faces)
    views = []
    for angle in (0, *angles):
        facing = turned(normals, angle)[:, 2]
        views.append(_picture(turned_body(vertices, angle), faces, facing, camera, size))
    return np.stack(views)


def render(vertices: np.ndarray, faces: np.ndarray, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """One view of vertices [V, 3] and triangles [F, 3]: uint8 [H, W], 255 wherever there is no body."""
    return render_ring(vertices, faces, camera, size, ())[0]


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3]: the area-weighted mean of the faces around; 0 where there is none."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)


def _picture(
    vertices: np.ndarray, faces: np.ndarray, facing: np.ndarray, camera: Camera, size: tuple[int, int]
) -> np.ndarray:
    """uint8 [H, W] of a body whose normals' z are `facing` [V]; the winding of its faces does not matter."""
    points = np.stack(
        [camera.scale[0] * vertices[:, 0] + camera.origin[0], camera.origin[1] - camera.scale[1] * vertices[:, 1]], 1
    )
    height, width = size
    fine = rasterise(points * SAMPLES, vertices[:, 2], facing, faces, (height * SAMPLES, width * SAMPLES))
    grey = ALBEDO * (AMBIENT + HEAD_LIGHT * np.abs(fine))
    grey = np.where(np.isnan(fine), 1.0, grey).reshape(height, SAMPLES, width, SAMPLES).mean((1, 3))
    return np.rint(255 * grey).astype(np.uint8)


def rasterise(
    points: np.ndarray, depth: np.ndarray, values: np.ndarray, faces: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """What the nearest triangle shows at each pixel: `values` interpolated [H, W], NaN where there is none.

    `points` [V, 2] are columns and rows in pixels, `depth` [V] grows to the viewer, both sides of a triangle are
    seen. Pixels are sampled at their middle; one on an edge that two triangles share belongs to one of them.
    """
    nearest = np.full(shape[0] * shape[1], -np.inf)
    shown = np.full(shape[0] * shape[1], np.nan)
    for part in _portions(points, faces, shape):
        pixels, z, value = _fragments(points, depth, values, part, shape)
        np.maximum.at(nearest, pixels, z)
        front = z == nearest[pixels]
        shown[pixels[front]] = value[front]
    return shown.reshape(shape)


def _portions(points: np.ndarray, faces: np.ndarray, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """The faces that touch the picture, in portions of about _CHUNK pixels of their boxes."""
    corners = points[faces]
    limit = np.array([shape[1], shape[0]], dtype=np.float64)
    low, high = np.clip(corners.min(1), 0, limit), np.clip(corners.max(1), 0, limit)
    seen = np.flatnonzero((high > low).all(1))
    filled = np.cumsum((high[seen] - low[seen] + 1).prod(1))
    if len(seen):
        cuts = np.flatnonzero(np.diff(filled // _CHUNK)) + 1
        yield from (faces[part] for part in np.split(seen, cuts))


def _fragments(
    points: np.ndarray, depth: np.ndarray, values: np.ndarray, faces: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels [P], depths and values of all that the faces cover, row by row between the two edges that a row cuts."""
    y = points[faces, 1]
    first = np.clip(np.ceil(y.min(1) - 0.5), 0, shape[0]).astype(np.int64)
    last = np.clip(np.ceil(y.max(1) - 0.5), 0, shape[0]).astype(np.int64)
    face, row = _unroll(first, last)
    table = np.stack([points[:, 0], depth, values], 1)  # what is interpolated along edges, then along rows
    left, right = _cuts(table, points[:, 1], faces[face], row + 0.5)
    begin = np.clip(np.ceil(left[:, 0] - 0.5), 0, shape[1]).astype(np.int64)
    end = np.clip(np.ceil(right[:, 0] - 0.5), 0, shape[1]).astype(np.int64)
    span, column = _unroll(begin, end)
    x = left[span, 0]
    share = ((column + 0.5 - x) / (right[span, 0] - x))[:, None]
    mixed = left[span, 1:] + share * (right[span, 1:] - left[span, 1:])
    return row[span] * shape[1] + column, mixed[:, 0], mixed[:, 1]


def _cuts(
    table: np.ndarray, height: np.ndarray, corners: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `table` [V, 3] where level [R] cuts the triangles `corners` [R, 3]: left and right end [R, 3].

    An edge is cut when one end is at the level or above and the other below: of three edges always two.
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


def _unroll(first: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One entry for each number of each range [first, end): the range it belongs to, and the number."""
    count = np.maximum(end - first, 0)
    owner = np.repeat(np.arange(len(first)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return owner, first[owner] + place
