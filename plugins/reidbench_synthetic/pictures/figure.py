"""Draws a posed person: geometry to an antialiased layer, in colour or as a grey structure map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reidbench.rendering.arrays import Bytes, Floats, Ints, Light
from reidbench.rendering.geometry import turned
from reidbench.rendering.mesh import Mesh
from reidbench.rendering.raster import Fragments, rasterise

from ..persons.clothing import albedo
from ..persons.identity import Identity
from ..persons.palettes import Colour
from ..persons.pose import skeleton
from .camera import Camera
from .filters import to_bytes
from .sighting import Framing, Sighting

MIDDLE = 0.5  # height above the floor about which a person is turned and tilted
_FILL = 0.92  # share of the image's height of a person with zoom 1
_PERSPECTIVE = 0.12
_SAMPLES = 2  # per pixel and axis
_HEAD_LIGHT: Colour = (0.2, 0.35, 0.9)
NOTHING = -1


@dataclass(frozen=True)
class Layer:
    """A person without background: premultiplied `colour` [H,W,3] and `cover` [H,W] in 0..1, `parts` [H,W] or -1."""

    colour: Light
    cover: Light
    parts: Ints


def draw_figure(person: Identity, mesh: Mesh, sighting: Sighting, camera: Camera, shape: tuple[int, int]) -> Layer:
    """Draw the dressed person of a sighting in the camera's light, `shape` = (height, width)."""
    surface, (shade, u, v) = _surface(person, mesh, sighting, camera.pitch, camera.light, shape)
    lit = (camera.ambient + (1 - camera.ambient) * np.clip(shade, 0, 1)).astype(np.float32)
    parts = mesh.parts[surface.faces]
    return _layer(surface.pixels, albedo(person, parts, u, v) * lit[:, None], parts, shape)


def draw_structure(person: Identity, mesh: Mesh, sighting: Sighting, pitch: float, shape: tuple[int, int]) -> Bytes:
    """Draw the bare shape under a head light: light grey on white [H,W], 0 to 255."""
    surface, (shade, _, _) = _surface(person, mesh, sighting, pitch, _HEAD_LIGHT, shape)
    grey = (0.25 + 0.6 * np.clip(shade, 0, 1)).astype(np.float32)
    layer = _layer(surface.pixels, np.repeat(grey[:, None], 3, axis=1), mesh.parts[surface.faces], shape)
    return to_bytes(layer.colour[:, :, 0] + (1 - layer.cover))


def _surface(
    person: Identity, mesh: Mesh, sighting: Sighting, pitch: float, light: Colour, shape: tuple[int, int]
) -> tuple[Fragments, Floats]:
    """Return a person's visible surface on the fine grid, with light cosines and texture coordinates u, v [3, P]."""
    vertices, normals = mesh.posed(skeleton(person, sighting.pose))
    vertices[:, 1] -= MIDDLE
    seen = look(vertices, sighting.yaw, pitch)
    height, width = shape[0] * _SAMPLES, shape[1] * _SAMPLES
    flat = flatten(seen)
    points = frame(flat, (flat.min(0), flat.max(0)), sighting.framing, height, width)
    facing = look(normals, sighting.yaw, pitch)
    cosine = facing[:, 0] * light[0] + facing[:, 1] * light[1] + facing[:, 2] * light[2]
    shown = np.column_stack([cosine, mesh.uv])
    found = rasterise(points, seen[:, 2], shown, mesh.faces, (height, width), "barycentric")
    return found, found.values.T


def look(vectors: Floats, yaw: float, pitch: float) -> Floats:
    """Rotate into the camera's frame: x to the right, y up, z to the viewer. The camera is above and looks down."""
    x, y, z = turned(vectors, yaw).T
    c, s = math.cos(pitch), math.sin(pitch)
    return np.stack([x, c * y - s * z, s * y + c * z], axis=1)


def flatten(seen: Floats) -> Floats:
    """Project points [V,3] in the camera's frame with its weak perspective: [V,2], x to the right, y up."""
    scale = 1.0 / (1.0 - _PERSPECTIVE * seen[:, 2])
    return seen[:, :2] * scale[:, None]


def frame(points: Floats, box: tuple[Floats, Floats], framing: Framing, height: int, width: int) -> Floats:
    """Map points [V,2] to pixels, y down, so that the person's `box` (lowest and highest corner) fits the framing."""
    low, high = box
    middle = 0.5 * (low + high)
    scale = height * _FILL / (high[1] - low[1]) * framing.zoom
    x = (points[:, 0] - middle[0]) * scale * framing.stretch + width * (0.5 + framing.right)
    y = height * (0.5 + framing.down) - (points[:, 1] - middle[1]) * scale
    return np.stack([x, y], axis=1)


def _layer(pixels: Ints, paint: Light, parts: Ints, shape: tuple[int, int]) -> Layer:
    """Average the fine grid; a pixel's part is the maximum of its samples, so a single covered sample is enough."""
    height, width = shape
    grid = np.zeros((height * width * _SAMPLES**2, 4), dtype=np.float32)
    grid[pixels, :3] = paint
    grid[pixels, 3] = 1
    mean = grid.reshape(height, _SAMPLES, width, _SAMPLES, 4).mean((1, 3))
    labels = np.full(len(grid), NOTHING, dtype=np.int64)
    labels[pixels] = parts
    fine = labels.reshape(height, _SAMPLES, width, _SAMPLES)
    return Layer(mean[:, :, :3], mean[:, :, 3], fine.max((1, 3)))
