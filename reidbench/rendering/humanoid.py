"""Parametric body of lofted limbs: pose and shape to joints and triangles, differentiable.

It is independent of SMPL: thirteen rigid bones, nineteen measures and eight shape coefficients, designed for this
suite. Lengths are in body heights; the body has height 1 for any shape. At rest it is upright with hanging arms, the
pelvis at 0. A rotation about y by `angle` moves the front towards positive x.

Bones, joints and axes are those of `skeleton.py`, as for the dressed persons of `mesh.py`. Their meshes differ: this
one is float32, differentiable and undressed; `mesh.py` is float64, and the pixels of rendered sets come from it.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F

from .skeleton import PARENTS, Bone

Measures = dict[str, torch.Tensor]

# Measures of the mean body, and their change in per cent for one unit of each shape coefficient.
_MEAN = {
    "pelvis height": 0.51, "neck height": 0.825, "thigh": 0.245, "hip side": 0.046, "hip drop": 0.035, "head up": 0.1,
    "shoulder side": 0.112, "shoulder drop": 0.035, "upper arm": 0.165, "forearm": 0.15, "hand": 0.05,
    "trunk": 0.118, "hips": 0.094, "depth": 0.068, "thigh girth": 0.052, "arm girth": 0.036, "head half": 0.071,
    "neck girth": 0.03, "foot": 0.095,
}  # fmt: skip
SHAPES: dict[str, dict[str, float]] = {
    "legs": {"pelvis height": 2.5, "thigh": 1.0},
    "shoulders": {"shoulder side": 8.0, "trunk": 8.0},
    "hips": {"hips": 10.0, "hip side": 10.0},
    "depth": {"depth": 12.0},
    "leg girth": {"thigh girth": 14.0},
    "arm girth": {"arm girth": 14.0},
    "head": {"head half": 6.0, "head up": 1.0},
    "arms": {"upper arm": 3.0, "forearm": 3.0, "hand": 3.0},
}
GIRTHS = ("trunk", "hips", "depth", "thigh girth", "arm girth", "head half")
ANKLE = 0.015  # height of the ankles above the floor in an upright body
_MOST = 3.0  # upper limit of a coefficient, in units
SIDES = 12  # vertices per ring


def measures(shape: torch.Tensor) -> Measures:
    """Lengths [B] of bodies with shape coefficients [B, 8], each about one standard deviation, 0 for the mean.

    Lengths grow by a factor per unit, so that none is ever negative; coefficients are limited to 3 units.
    """
    bounded = _MOST * torch.tanh(shape / _MOST)
    weights = torch.zeros(len(SHAPES), len(_MEAN), device=shape.device, dtype=shape.dtype)
    names = list(_MEAN)
    for row, changes in enumerate(SHAPES.values()):
        for name, percent in changes.items():
            weights[row, names.index(name)] = percent / 100
    values = torch.tensor(list(_MEAN.values()), device=shape.device, dtype=shape.dtype) * (bounded @ weights).exp()
    found = dict(zip(names, values.unbind(1), strict=True))
    # The rest of the height: long legs make a short trunk.
    found["shin"] = found["pelvis height"] - found["hip drop"] - found["thigh"] - ANKLE
    found["neck"] = found["neck height"] - found["pelvis height"]
    return found


def girths(shape: torch.Tensor) -> torch.Tensor:
    """Half-widths [B, 6] of trunk, hips, trunk's depth, thigh, upper arm, and half the head's height."""
    found = measures(shape)
    return torch.stack([found[name] for name in GIRTHS], 1)


def rotations(six: torch.Tensor) -> torch.Tensor:
    """Two columns [..., 6] to rotation matrices [..., 3, 3] by Gram-Schmidt (Zhou et al., CVPR 2019, eq. 14-16)."""
    first = F.normalize(six[..., :3], dim=-1, eps=1e-6)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = F.normalize(second, dim=-1, eps=1e-6)
    return torch.stack([first, second, torch.cross(first, second, dim=-1)], -1)


def turn(angle: torch.Tensor) -> torch.Tensor:
    """Rotations [B, 3, 3] about y by angles [B] in radians that move the front towards positive x."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).view(*angle.shape, 3, 3)


def tilt(angle: torch.Tensor) -> torch.Tensor:
    """Rotations [B, 3, 3] about x by angles [B]: the view of a camera that looks down by that angle."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).view(*angle.shape, 3, 3)


def yaw(root: torch.Tensor) -> torch.Tensor:
    """Viewing angle [B] of bodies with root rotations [B, 3, 3]: 0 is the front, pi the back.

    For tilt(p) @ turn(y) it is y, for any tilt below a right angle.
    """
    front = root[..., 2]
    towards = torch.hypot(front[..., 1], front[..., 2])
    return torch.atan2(front[..., 0], torch.where(front[..., 2] < 0, -towards, towards))


# ---------------------------------------------------------------------- the skeleton
def skeleton(pose: torch.Tensor, found: Measures) -> tuple[torch.Tensor, torch.Tensor]:
    """World rotations [B, 13, 3, 3] and origins [B, 13, 3] of the bones, with the pelvis at 0.

    `pose` [B, 13, 3, 3] rotates each bone relative to its parent, the root relative to the camera.
    """
    offsets = _offsets(found)
    turns: list[torch.Tensor] = []
    places: list[torch.Tensor] = []
    for bone, parent in enumerate(PARENTS):
        if parent < 0:
            turns.append(pose[:, bone])
            places.append(torch.zeros_like(pose[:, bone, 0]))
            continue
        turns.append(turns[parent] @ pose[:, bone])
        places.append(places[parent] + _moved(turns[parent], offsets[bone]))
    return torch.stack(turns, 1), torch.stack(places, 1)


def joints(pose: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """Joint positions [B, 15, 3], with the pelvis at 0, for poses [B, 13, 3, 3] and shapes [B, 8]."""
    found = measures(shape)
    turns, places = skeleton(pose, found)
    head = places[:, Bone.HEAD] + _moved(turns[:, Bone.HEAD], _point(0.0, found["head up"]))
    wrists = [
        places[:, bone] + _moved(turns[:, bone], _point(0.0, -found["forearm"]))
        for bone in (Bone.LEFT_FOREARM, Bone.RIGHT_FOREARM)
    ]
    middle = [places[:, Bone.ROOT], places[:, Bone.HEAD], head]
    left = [places[:, bone] for bone in range(Bone.LEFT_THIGH, Bone.LEFT_FOREARM + 1)]
    right = [places[:, bone] for bone in range(Bone.RIGHT_THIGH, Bone.RIGHT_FOREARM + 1)]
    return torch.stack([*middle, *left, wrists[0], *right, wrists[1]], 1)


def _offsets(found: Measures) -> list[torch.Tensor]:
    """Each bone's origin [B, 3] in its parent's frame."""
    root = torch.zeros_like(_point(0.0, found["neck"]))
    offsets = [root, root, _point(0.0, found["neck"])]
    for side in (-1, 1):
        offsets += [
            _point(side * found["hip side"], -found["hip drop"]),
            _point(0.0, -found["thigh"]),
            _point(0.0, -found["shin"]),
            _point(side * found["shoulder side"], found["neck"] - found["shoulder drop"]),
            _point(0.0, -found["upper arm"]),
        ]
    return offsets


def _point(x: torch.Tensor | float, y: torch.Tensor) -> torch.Tensor:
    zero = torch.zeros_like(y)
    return torch.stack([zero + x, y, zero], -1)


def _moved(turns: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Apply rotations [B, 3, 3] to points [B, 3]."""
    return (turns @ points[..., None])[..., 0]


# ---------------------------------------------------------------------- the skin
def vertices(pose: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """Vertices of the mesh [B, V, 3], with the pelvis at 0; `faces()` connects them."""
    found = measures(shape)
    turns, places = skeleton(pose, found)
    return torch.cat([
        skin @ turns[:, bone].transpose(1, 2) + places[:, bone, None] for bone, skin in _pieces(found)
    ], 1)  # fmt: skip


@functools.cache
def faces() -> np.ndarray:
    """Triangles [F, 3] of the mesh, counter-clockwise seen from outside."""
    found, start, parts = measures(torch.zeros(1, len(SHAPES))), 0, []
    for _, skin in _pieces(found):
        ring, side = np.meshgrid(np.arange(skin.shape[1] // SIDES - 1), np.arange(SIDES), indexing="ij")
        here, beside = ring * SIDES + side, ring * SIDES + (side + 1) % SIDES
        quads = np.stack([here, here + SIDES, beside + SIDES, here, beside + SIDES, beside], -1)
        parts.append(quads.reshape(-1, 3) + start)
        start += skin.shape[1]
    return np.concatenate(parts)


# Rings of a limb from its upper end, as (share of the length, share of the upper girth, share of the lower girth).
_LIMB = (
    (-0.10, 0.0, 0.0), (-0.06, 0.7, 0.0), (0.0, 1.0, 0.0), (0.35, 0.62, 0.38), (0.7, 0.3, 0.7), (1.0, 0.0, 1.0),
    (1.05, 0.0, 0.7), (1.08, 0.0, 0.0),
)  # fmt: skip
# The trunk from the base of the neck to the seat: (share of the way, share of the trunk, of the hips, of the depth).
_TRUNK = (
    (-0.02, 0.0, 0.0, 0.0), (0.02, 0.38, 0.0, 0.6), (0.08, 0.8, 0.0, 0.85), (0.18, 1.0, 0.0, 1.0),
    (0.45, 0.88, 0.0, 0.98), (0.65, 0.4, 0.5, 0.95), (0.88, 0.0, 0.97, 0.98), (1.0, 0.0, 1.0, 1.0),
    (1.1, 0.0, 0.98, 0.95), (1.18, 0.0, 0.8, 0.75), (1.22, 0.0, 0.0, 0.0),
)  # fmt: skip
_LOWER = {
    "thigh": 0.72,
    "shin": 0.5,
    "upper arm": 0.8,
    "forearm": 0.6,
}  # lower girth of a limb, of its upper one


def _pieces(found: Measures) -> list[tuple[Bone, torch.Tensor]]:
    """Vertices of every piece [B, rings x SIDES, 3] in the frame of its bone."""
    thigh, arm = found["thigh girth"], found["arm girth"]
    pieces = [(Bone.SPINE, _trunk(found)), (Bone.HEAD, _neck(found)), (Bone.HEAD, _head(found))]
    for first, upper in (
        (Bone.LEFT_THIGH, Bone.LEFT_UPPER_ARM),
        (Bone.RIGHT_THIGH, Bone.RIGHT_UPPER_ARM),
    ):
        calf, elbow = thigh * _LOWER["thigh"], arm * _LOWER["upper arm"]
        wrist = elbow * _LOWER["forearm"]
        pieces += [
            (first, _limb(found["thigh"], thigh, calf)),
            (Bone(first + 1), _limb(found["shin"], calf, calf * _LOWER["shin"])),
            (Bone(first + 2), _foot(found)),
            (upper, _limb(found["upper arm"], arm, elbow)),
            (Bone(upper + 1), _limb(found["forearm"], elbow, wrist)),
            (Bone(upper + 1), _limb(found["hand"], wrist, wrist * 0.8) - _point(0.0, found["forearm"])[:, None]),
        ]
    return pieces


def _tube(height: torch.Tensor, wide: torch.Tensor, deep: torch.Tensor, front: torch.Tensor) -> torch.Tensor:
    """Rings from top to bottom at heights [B, K], half-widths and half-depths [B, K], shifted to the front [B, K]."""
    angle = torch.arange(SIDES, device=height.device, dtype=height.dtype) * (2 * torch.pi / SIDES)
    x = wide[..., None] * angle.sin()
    z = deep[..., None] * angle.cos() + front[..., None]
    return torch.stack([x, height[..., None].expand_as(x), z], -1).flatten(1, 2)


def _table(rows: tuple[tuple[float, ...], ...], like: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.tensor(rows, device=like.device, dtype=like.dtype).unbind(1))


def _limb(length: torch.Tensor, upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    """A rounded tube down from its joint."""
    along, above, below = _table(_LIMB, length)
    girth = upper[:, None] * above + lower[:, None] * below
    return _tube(-length[:, None] * along, girth, girth, torch.zeros_like(girth))


def _trunk(found: Measures) -> torch.Tensor:
    way, chest, seat, depth = _table(_TRUNK, found["neck"])
    wide = found["trunk"][:, None] * chest + found["hips"][:, None] * seat
    deep = found["depth"][:, None] * depth
    return _tube(found["neck"][:, None] * (1 - way), wide, deep, torch.zeros_like(wide))


def _neck(found: Measures) -> torch.Tensor:
    girth = found["neck girth"]
    return _limb(found["head up"], girth, girth) + _point(0.0, found["head up"])[:, None]


def _head(found: Measures) -> torch.Tensor:
    polar = torch.linspace(0, torch.pi, 9, device=found["neck"].device, dtype=found["neck"].dtype)
    half = found["head half"][:, None]
    wide = half * polar.sin()
    return _tube(found["head up"][:, None] + half * polar.cos(), 0.68 * wide, 0.8 * wide, torch.zeros_like(wide))


def _foot(found: Measures) -> torch.Tensor:
    """A foot from behind the ankle to the toes: a horizontal limb whose length points to the front."""
    girth = 0.25 * found["foot"]
    x, y, z = _limb(found["foot"], girth, 0.8 * girth).unbind(-1)
    return torch.stack([x, z * 0.7, -y - girth[:, None]], -1)
