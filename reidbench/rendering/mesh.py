"""Triangle meshes of stacked ellipses, each vertex in the frame of its bone.

All pieces hang down from their joint, in the axes of `skeleton.py`, so that a limb is built once per person and a pose
only rotates and moves bones.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

from .arrays import Floats, Ints
from .geometry import summed_normals
from .skeleton import Bone, Skeleton

# The eight rings of a limb: a round cap, the tube, a round cap.
_CAP_ABOVE = np.array([-0.9, -0.55, 0, 0, 0, 0, 0, 0])
_LENGTHS = np.array([0, 0, 0, 0.35, 0.7, 1, 1, 1])
_CAP_BELOW = np.array([0, 0, 0, 0, 0, 0, 0.55, 0.9])
_TOP_SHARES = np.array([0.15, 0.8, 1, 0, 0, 0, 0, 0])
_BELLY_SHARES = np.array([0, 0, 0, 1.03, 0.35, 0, 0, 0])
_BOTTOM_SHARES = np.array([0, 0, 0, 0, 0.65, 1, 0.8, 0.15])


Radii = tuple[Floats, Floats]  # of ellipses, in x and in z


class Part(IntEnum):
    """Body part of a face, which determines the garment that colours it."""

    HEAD = 0
    NECK = 1
    TORSO = 2
    PELVIS = 3
    UPPER_ARM = 4
    FOREARM = 5
    HAND = 6
    THIGH = 7
    SHIN = 8
    FOOT = 9
    SKIRT = 10
    BAG = 11
    HAIR = 12


@dataclass(frozen=True)
class Mesh:
    """`vertices`, `normals` [V,3] in bone frames, `uv` [V,2], `bones` [V]; `faces` [F,3], `parts` [F].

    Faces run counter-clockwise seen from outside; normals have length 1 and point outwards. u runs around a piece from
    -0.5 to 0.5, with 0 in front and 0.25 at positive x; v runs down it from 0 to 1.
    """

    vertices: Floats
    normals: Floats
    uv: Floats
    bones: Ints
    faces: Ints
    parts: Ints

    def posed(self, skeleton: Skeleton) -> tuple[Floats, Floats]:
        """Vertices and normals [V,3] in the person's frame."""
        turns = skeleton.rotations[self.bones]
        vertices = (turns * self.vertices[:, None, :]).sum(2) + skeleton.origins[self.bones]
        normals = (turns * self.normals[:, None, :]).sum(2)
        return vertices, normals


class MeshBuilder:
    """Collects pieces and joins them into one mesh."""

    def __init__(self) -> None:
        self._pieces: list[Mesh] = []
        self._count = 0

    def loft(
        self, bone: Bone, part: Part, centres: Floats, radii: Radii, segments: int, v: Floats | None = None
    ) -> None:
        """Add a surface over K ellipses from top to bottom: `centres` [K,3], `radii` [K] each, texture rows `v` [K]."""
        rings = len(centres)
        faces, sine, cosine, u = _grid(rings, segments)
        points = np.repeat(centres[:, None, :], segments + 1, axis=1)
        points[:, :, 0] += radii[0][:, None] * sine
        points[:, :, 2] += radii[1][:, None] * cosine
        rows = np.linspace(0, 1, rings) if v is None else v
        uv = np.empty((rings, segments + 1, 2))
        uv[:, :, 0] = u
        uv[:, :, 1] = rows[:, None]
        vertices, normals = points.reshape(-1, 3), _smooth_normals(points, faces).reshape(-1, 3)
        bones = np.full(len(vertices), int(bone), dtype=np.int64)
        parts = np.full(len(faces), int(part), dtype=np.int64)
        self._pieces.append(Mesh(vertices, normals, uv.reshape(-1, 2), bones, faces + self._count, parts))
        self._count += len(vertices)

    def limb(
        self,
        bone: Bone,
        part: Part,
        length: float,
        top: float,
        bottom: float,
        *,
        middle: float | None = None,
        segments: int = 8,
        start: tuple[float, float, float] = (0.0, 0.0, 0.0),
        slant: float = 0.0,
        flatness: float = 1.0,
    ) -> None:
        """Add a rounded tube down from `start`; `slant` moves its lower end to the front, radii taper."""
        belly = 0.5 * (top + bottom) if middle is None else middle
        along = top * _CAP_ABOVE + length * _LENGTHS + bottom * _CAP_BELOW
        radii = top * _TOP_SHARES + belly * _BELLY_SHARES + bottom * _BOTTOM_SHARES
        centres = np.empty((len(along), 3))
        centres[:, 0] = start[0]
        centres[:, 1] = start[1] - along
        centres[:, 2] = start[2] + slant * along / length
        self.loft(bone, part, centres, (radii, radii * flatness), segments, np.clip(along / length, 0, 1))

    def blob(
        self,
        bone: Bone,
        part: Part,
        centre: tuple[float, float, float],
        radii: tuple[float, float, float],
        *,
        segments: int = 10,
        rings: int = 7,
        boxiness: float = 1.0,
    ) -> None:
        """Add an ellipsoid; a `boxiness` below 1 makes it squarer from the side."""
        polar = np.linspace(0.05, math.pi - 0.05, rings)
        width = np.sin(polar) ** boxiness
        height = np.sign(np.cos(polar)) * np.abs(np.cos(polar)) ** boxiness
        centres = np.repeat(np.array([centre], dtype=np.float64), rings, axis=0)
        centres[:, 1] += height * radii[1]
        self.loft(bone, part, centres, (radii[0] * width, radii[2] * width), segments)

    def build(self) -> Mesh:
        """Join all pieces so far into one mesh."""
        columns = ([getattr(piece, column.name) for piece in self._pieces] for column in fields(Mesh))
        return Mesh(*map(np.concatenate, columns))


@functools.cache
def _grid(rings: int, segments: int) -> tuple[Ints, Floats, Floats, Floats]:
    """Faces of a tube, and sine, cosine and u of its columns; u jumps at the seam, which is at the back."""
    ring, column = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    first = (ring * (segments + 1) + column).ravel()
    below = first + segments + 1
    faces = np.concatenate(
        [np.stack([first, below, below + 1], axis=1), np.stack([first, below + 1, first + 1], axis=1)]
    )
    angle = np.linspace(-math.pi, math.pi, segments + 1)
    return faces.astype(np.int64), np.sin(angle), np.cos(angle), angle / (2 * math.pi)


def _smooth_normals(points: Floats, faces: Ints) -> Floats:
    """Unit normals [K,N+1,3]: the area-weighted mean of the adjacent faces, also across the seam."""
    grid = summed_normals(points.reshape(-1, 3), faces).reshape(points.shape)
    seam = grid[:, 0] + grid[:, -1]
    grid[:, 0] = seam
    grid[:, -1] = seam
    unit: Floats = grid / (np.sqrt((grid * grid).sum(2, keepdims=True)) + 1e-12)
    return unit
