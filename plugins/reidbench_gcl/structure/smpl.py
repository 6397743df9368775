"""SMPL (Loper et al., SIGGRAPH Asia 2015) by its published equations, in numpy, from a user's model file.

No model is included: its licence allows only research. The arrays are those of the official file: `v_template` [V, 3],
`shapedirs` [V, 3, S], `posedirs` [V, 3, 9 (K - 1)], `J_regressor` [K, V], `weights` [V, K], `kintree_table` [2, K], `f`
[F, 3].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidbench.errors import DataError
from reidbench.rendering.arrays import Floats, Ints

from .meshes import checked_mesh, read_arrays

ARRAYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


@dataclass(frozen=True)
class SmplModel:
    """A skinned body of V vertices and K joints; `parents` [K] has -1 for the root and parents before children."""

    template: Floats
    shape_directions: Floats
    pose_directions: Floats
    regressor: Floats
    weights: Floats
    parents: Ints
    faces: Ints

    @classmethod
    def load(cls, file: Path) -> SmplModel:
        """Read an .npz of plain arrays. Raises DataError, naming the file, if they are not an SMPL model."""
        found = read_arrays(file, ARRAYS)
        mesh = checked_mesh(file, found["v_template"], found["f"])
        count, joints = len(mesh.vertices), len(found["J_regressor"])
        shapes = {
            "shapedirs": (count, 3, found["shapedirs"].shape[-1] if found["shapedirs"].ndim else 0),
            "posedirs": (count, 3, 9 * (joints - 1)),
            "J_regressor": (joints, count),
            "weights": (count, joints),
            "kintree_table": (2, joints),
        }
        for name, shape in shapes.items():
            if found[name].shape != shape:
                raise DataError(f"{file}: {name} is {list(found[name].shape)}, not {list(shape)}")
        if not np.allclose(found["weights"].sum(1), 1, atol=1e-3):
            raise DataError(f"{file}: the weights of some vertices do not add up to 1")
        names = ("shapedirs", "posedirs", "J_regressor", "weights")
        shape_directions, pose_directions, regressor, weights = (found[name].astype(np.float64) for name in names)
        parents = _parents(file, found["kintree_table"])
        return cls(mesh.vertices, shape_directions, pose_directions, regressor, weights, parents, mesh.faces)

    @property
    def joints(self) -> int:
        """K, 24 for SMPL; a pose has 3 K numbers."""
        return len(self.parents)

    def vertices(self, theta: Floats, beta: Floats) -> Floats:
        """Return the posed body [V, 3].

        `theta` [3 K] holds a rotation vector (radians) of each joint, `beta` up to S numbers. Eq. 2 to 10 of the paper.
        Raises ValueError for another number of parameters.
        """
        if theta.size != 3 * self.joints:
            raise ValueError(f"theta has {theta.size} numbers, but {self.joints} joints need {3 * self.joints}")
        if beta.ndim != 1 or len(beta) > self.shape_directions.shape[2]:
            raise ValueError(f"beta is {list(beta.shape)}, but the model has {self.shape_directions.shape[2]} shapes")
        shaped = self.template + self.shape_directions[:, :, : len(beta)] @ beta
        rotations = rodrigues(theta.reshape(-1, 3))
        posed = shaped + self.pose_directions @ (rotations[1:] - np.eye(3)).ravel()
        turns, shifts = self._skinning(rotations, self.regressor @ shaped)
        by_joint = np.einsum("kij,vj->vki", turns, posed) + shifts
        skin: Floats = np.einsum("vk,vki->vi", self.weights, by_joint)
        return skin

    def _skinning(self, rotations: Floats, rest: Floats) -> tuple[Floats, Floats]:
        """Return each joint's transform of rest-pose points, [K, 3, 3] and [K, 3]; `rest` [K, 3] are the joints."""
        turns, places = rotations.copy(), rest.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                turns[joint] = turns[parent] @ rotations[joint]
                places[joint] = turns[parent] @ (rest[joint] - rest[parent]) + places[parent]
        return turns, places - np.einsum("kij,kj->ki", turns, rest)


def rodrigues(vectors: Floats) -> Floats:
    """Rotation matrices [K, 3, 3] of rotation vectors [K, 3], in radians; exact at and around 0."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    cross = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -z, y, -x
    cross[:, 1, 0], cross[:, 2, 0], cross[:, 2, 1] = z, -y, x
    # sin(a) / a and (1 - cos a) / a^2 as sinc, which is correct at 0
    square = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (cross @ cross)
    rotations: Floats = np.eye(3) + np.sinc(angle / np.pi) * cross + square
    return rotations


def _parents(file: Path, tree: Ints) -> Ints:
    """Return each joint's parent index, from the ids of a kintree_table [2, K], whose first column is the root."""
    place = {int(joint): column for column, joint in enumerate(tree[1])}
    parents = np.array([-1, *(place.get(int(joint), len(place)) for joint in tree[0, 1:])], dtype=np.int64)
    if (parents >= np.arange(len(parents))).any():
        raise DataError(f"{file}: kintree_table names a parent after its child, or an unknown parent")
    return parents
