"""Renderer of GCL's structure: orthographic, grey with a light at the camera, on white, turned by any angle.

The frame is the image's: x to the right, y up, z to the viewer. A positive angle turns the side that faces the viewer
towards the right edge of the image (counter-clockwise seen from above), which is also the sense of the synthetic
truth's yaw. HMR's `rotated` works in a frame whose y points down and turns the other way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reidbench.rendering import geometry
from reidbench.rendering.arrays import Bytes, Floats, Ints
from reidbench.rendering.raster import rasterise

SAMPLES = 2  # along both axes of a pixel
AMBIENT, HEAD_LIGHT, ALBEDO = 0.55, 0.35, 0.85


@dataclass(frozen=True)
class Camera:
    """Orthographic: column = `scale[0]` * x + `origin[0]`, row = `origin[1]` - `scale[1]` * y, in pixels.

    Pixel (row, column) covers [column, column + 1) x [row, row + 1).
    """

    scale: tuple[float, float]
    origin: tuple[float, float]

    @classmethod
    def fit(
        cls, vertices: Floats, size: tuple[int, int], fill: float = 0.94, crop: tuple[int, int] | None = None
    ) -> Camera:
        """Return the camera that centres a body [V, 3] and fills a fraction `fill` of the height (or of the width).

        `crop` is the original image's height and width, whose aspect the body keeps when the image is stretched to
        `size`. Raises ValueError for a body without extent.
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
        cls, cam: Sequence[float] | Floats, size: tuple[int, int], crop: tuple[int, int] | None = None
    ) -> Camera:
        """HMR's (s, tx, ty): s * (x + tx), s * (y + ty), y down, from -1 to 1 over the square around the image.

        The square has the original image's longer side and centre; `crop` is its height and width.
        """
        height, width = crop or size
        half = max(height, width) / 2
        s, tx, ty = (float(value) for value in cam)
        stretch = size[1] / width, size[0] / height
        across, down = half * s * stretch[0], half * s * stretch[1]
        return cls((across, down), (size[1] / 2 + across * tx, size[0] / 2 + down * ty))


def in_view(vertices: Floats, up: str) -> Floats:
    """Convert vertices [V, 3] to the image's frame.

    `up` names their frame: "y" is the image's; "-y" has y down and z away from the viewer, "z" has z up and -y to the
    viewer. All conversions are rotations, so left stays left.
    """
    x, y, z = vertices.T
    axes = {"y": (x, y, z), "-y": (x, -y, -z), "z": (x, z, -y)}
    return np.stack(axes[up], 1)


def turned(vectors: Floats, degrees: float) -> Floats:
    """Turn vectors [V, 3] about the vertical axis through 0; full turns do not change a bit."""
    if degrees % 360 == 0:
        return vectors
    return geometry.turned(vectors, math.radians(degrees % 360))


def turned_body(vertices: Floats, degrees: float) -> Floats:
    """Turn a body [V, 3] about the vertical axis through the mean of its vertices."""
    if degrees % 360 == 0:
        return vertices
    middle: Floats = vertices.mean(0) * (1, 0, 1)  # a point on the axis
    return turned(vertices - middle, degrees) + middle


def render_turned(
    vertices: Floats, faces: Ints, camera: Camera, size: tuple[int, int], angles: Sequence[float]
) -> Bytes:
    """Render the body as is, then turned by each of `angles` (degrees): uint8 [1 + A, H, W], one camera for all."""
    normals = vertex_normals(vertices, faces)
    views = []
    for angle in (0, *angles):
        facing = turned(normals, angle)[:, 2]
        views.append(_picture(turned_body(vertices, angle), faces, facing, camera, size))
    return np.stack(views)


def render(vertices: Floats, faces: Ints, camera: Camera, size: tuple[int, int]) -> Bytes:
    """Render one view of vertices [V, 3] and triangles [F, 3]: uint8 [H, W], 255 outside the body."""
    view: Bytes = render_turned(vertices, faces, camera, size, ())[0]
    return view


def vertex_normals(vertices: Floats, faces: Ints) -> Floats:
    """Unit normals [V, 3]: the area-weighted mean of the adjacent faces' normals; 0 without faces."""
    normals = geometry.summed_normals(vertices, faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit: Floats = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    return unit


def _picture(vertices: Floats, faces: Ints, facing: Floats, camera: Camera, size: tuple[int, int]) -> Bytes:
    """Render uint8 [H, W] of a body whose normals' z are `facing` [V], for any winding of its faces."""
    points = np.stack(
        [camera.scale[0] * vertices[:, 0] + camera.origin[0], camera.origin[1] - camera.scale[1] * vertices[:, 1]], 1
    )
    height, width = size
    fine = (height * SAMPLES, width * SAMPLES)
    found = rasterise(points * SAMPLES, vertices[:, 2], facing[:, None], faces, fine, "scanline")
    grey = np.ones(fine[0] * fine[1])
    grey[found.pixels] = ALBEDO * (AMBIENT + HEAD_LIGHT * np.abs(found.values[:, 0]))
    mean: Floats = grey.reshape(height, SAMPLES, width, SAMPLES).mean((1, 3))
    return np.rint(255 * mean).astype(np.uint8)
