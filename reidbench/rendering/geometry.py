"""Rotations and normals of vertices, y up."""

from __future__ import annotations

import math

import numpy as np

from .arrays import Floats, Ints


def turned(vectors: Floats, angle: float) -> Floats:
    """Rotate vectors [V, 3] about the vertical axis by an angle in radians that moves the front (z) towards x."""
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([c * vectors[:, 0] + s * vectors[:, 2], vectors[:, 1], c * vectors[:, 2] - s * vectors[:, 0]], 1)


def summed_normals(vertices: Floats, faces: Ints) -> Floats:
    """Sum of the normals of each vertex's faces [V, 3], each with twice the area of its face as length."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    return normals
