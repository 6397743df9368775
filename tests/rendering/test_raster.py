"""Visible face at each pixel, by both fill rules, compared with loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest

from reidbench.rendering import raster
from reidbench.rendering.raster import Fill, Fragments, rasterise


def picture(found: Fragments, shape: tuple[int, int]) -> np.ndarray:
    """The first value at each pixel, NaN where there is no face."""
    shown = np.full(shape[0] * shape[1], np.nan)
    shown[found.pixels] = found.values[:, 0]
    return shown.reshape(shape)


@pytest.mark.parametrize("seed", range(3))
def test_barycentric_finds_what_a_loop_over_pixels_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = 11, 9
    points, depth = rng.uniform(-3, 13, (30, 2)), rng.uniform(-1, 1, 30)
    faces = rng.integers(0, 30, (14, 3))
    values = np.column_stack([points, np.ones(30)])
    found = rasterise(points, depth, values, faces, (height, width), "barycentric")
    image = np.full(height * width, -1)
    image[found.pixels] = found.faces
    expected = [
        _nearest_face(points, depth, faces, column + 0.5, row + 0.5) for row in range(height) for column in range(width)
    ]
    assert image.tolist() == expected
    assert len(set(expected)) > 3
    middles = np.column_stack([found.pixels % width + 0.5, found.pixels // width + 0.5, np.ones(len(found.pixels))])
    np.testing.assert_allclose(found.values, middles)


def _nearest_face(points: np.ndarray, depth: np.ndarray, faces: np.ndarray, x: float, y: float) -> int:
    """The front face that covers (x, y) and is nearest, by the signs of cross products."""
    best, best_z = -1, -np.inf
    for index, face in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = points[face]
        # y points down, so counter-clockwise on the screen is negative
        whole = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if whole >= 0:
            continue
        wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / whole
        wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / whole
        wc = ((ax - x) * (by - y) - (ay - y) * (bx - x)) / whole
        z = wa * depth[face[0]] + wb * depth[face[1]] + wc * depth[face[2]]
        if min(wa, wb, wc) >= 0 and z > best_z:
            best, best_z = index, z
    return best


def nearest(points: np.ndarray, depth: np.ndarray, faces: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel, by areas: the face in front or -1; -2 where some edge is too near to say."""
    shown = np.full(shape, -1)
    for row in range(shape[0]):
        for column in range(shape[1]):
            middle, best = np.array([column + 0.5, row + 0.5]), -np.inf
            for number, corners in enumerate(points[faces]):
                areas = np.array([
                    np.linalg.det([corners[(k + 1) % 3] - middle, corners[(k + 2) % 3] - middle]) for k in range(3)
                ])  # fmt: skip
                share = areas / areas.sum()
                if abs(share).min() < 1e-9:
                    shown[row, column] = -2
                    break
                z = share @ depth[faces[number]]
                if (share > 0).all() and z > best:
                    best, shown[row, column] = z, number
    return shown


def test_the_nearest_face_is_seen_as_areas_tell() -> None:
    """Overlapping, crossing triangles, some partly or wholly outside, of either winding."""
    random = np.random.default_rng(3)
    points, depth = random.uniform(-5, 21, (60, 2)), random.normal(size=60)
    faces = np.arange(60).reshape(20, 3)
    values = np.repeat(np.arange(20.0), 3)
    shown = rasterise(points, depth, values[:, None], faces, (12, 16), "scanline")
    assert np.array_equal(shown.values[:, 0], shown.faces)
    found = picture(shown, (12, 16))
    wanted = nearest(points, depth, faces, (12, 16))
    sure = wanted >= -1
    assert sure.mean() > 0.99
    assert len(np.unique(wanted)) > 10
    assert np.array_equal(np.nan_to_num(found, nan=-1)[sure], wanted[sure])


def test_faces_that_share_edges_leave_no_hole_and_do_not_grow() -> None:
    """A square of 8x8 pixels in triangles around a corner of the grid: 64 pixels, for any triangles."""
    points = np.array([[2, 1], [10, 1], [10, 9], [2, 9], [6, 5]], dtype=float)
    faces = np.array([[0, 1, 4], [2, 1, 4], [2, 3, 4], [0, 3, 4]])
    shown = picture(rasterise(points, np.zeros(5), np.ones((5, 1)), faces, (12, 12), "scanline"), (12, 12))
    assert (shown[1:9, 2:10] == 1).all()
    assert np.isfinite(shown).sum() == 64


@pytest.mark.parametrize("fill", ["barycentric", "scanline"])
def test_values_are_interpolated_linearly(fill: Fill) -> None:
    """A plane over the picture is met again at every pixel's middle."""
    points = np.array([[-20, -20], [60, -20], [0, 60]], dtype=float)
    values = points @ [[2.0], [-3.0]] + 5
    shown = picture(rasterise(points, np.zeros(3), values, np.array([[0, 2, 1]]), (6, 9), fill), (6, 9))
    rows, columns = np.mgrid[:6, :9] + 0.5
    assert np.allclose(shown, 2 * columns - 3 * rows + 5)


def test_the_two_rules_differ_on_edges_and_backs() -> None:
    """Edges through pixels' middles: closed, or of one side alone. Backs are culled, or seen."""
    points = np.array([[0.5, 0.5], [4.5, 0.5], [4.5, 4.5], [0.5, 4.5]])
    front, back = np.array([[0, 2, 1], [0, 3, 2]]), np.array([[0, 1, 2], [0, 2, 3]])

    def covered(faces: np.ndarray, fill: Fill) -> int:
        return len(rasterise(points, np.zeros(4), np.zeros((4, 1)), faces, (6, 6), fill).pixels)

    assert [covered(front, fill) for fill in ("barycentric", "scanline")] == [25, 16]
    assert [covered(back, fill) for fill in ("barycentric", "scanline")] == [0, 16]
    nobody = front + 4
    outside = np.concatenate([points, points - 100])
    for fill in ("barycentric", "scanline"):
        assert not len(rasterise(outside, np.zeros(8), np.zeros((8, 2)), nobody, (6, 6), fill).pixels)


def test_many_large_faces_take_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the faces are portioned, the picture is the same."""
    random = np.random.default_rng(0)
    points, depth = random.uniform(0, 32, (90, 2)), random.normal(size=90)
    faces = np.arange(90).reshape(30, 3)
    whole = rasterise(points, depth, points, faces, (32, 32), "scanline")
    monkeypatch.setattr(raster, "_CHUNK", 500)
    assert len(list(raster._portions(points, faces, (32, 32)))) > 5
    parts = rasterise(points, depth, points, faces, (32, 32), "scanline")
    for name in ("pixels", "faces", "values"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
