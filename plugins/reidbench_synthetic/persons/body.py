"""Rest mesh of an identity: its pieces and their thickness."""

from __future__ import annotations

import numpy as np

from reidbench.rendering.mesh import Mesh, MeshBuilder, Part
from reidbench.rendering.skeleton import Bone

from .identity import Identity

_LONG_SLEEVES = 1.10  # a jacket widens the trunk by a tenth


def build_body(person: Identity) -> Mesh:
    """Build a mesh of about 1,470 vertices and 2,310 faces, which `pose.skeleton` poses."""
    builder = MeshBuilder()
    _trunk(builder, person)
    _head(builder, person)
    for side in (-1, 1):
        _leg(builder, person, side)
        _arm(builder, person, side)
    if person.bottom.kind == "skirt" or person.bottom.coat:
        _skirt(builder, person)
    _bag(builder, person)
    return builder.build()


def _trunk(builder: MeshBuilder, person: Identity) -> None:
    build = person.build
    tall, weight = build.height, build.weight
    shoulder, hip, depth = build.shoulder * tall, build.hip * tall, build.depth * tall
    thick = _LONG_SLEEVES if person.top.sleeves == "long" else 1.0
    below_neck = np.array([0.01, -0.012, -0.04, -0.09, -0.16, -0.22, -0.28])
    heights = np.append(build.shoulder_height - build.hip_height + below_neck * tall, 0.0)
    width = [
        0.045 * tall,
        0.62 * shoulder,
        0.93 * shoulder,
        0.97 * shoulder,
        0.86 * shoulder * (0.6 + 0.4 * weight),
        0.80 * shoulder * (0.4 + 0.6 * weight),
        1.02 * hip,
        1.06 * hip,
    ]
    thickness = [
        0.04 * tall,
        0.62 * depth,
        0.88 * depth,
        1.05 * depth,
        depth * (0.5 + 0.5 * weight),
        depth * (0.2 + 0.8 * weight),
        depth * (0.4 + 0.6 * weight),
        1.05 * depth,
    ]
    centres = np.zeros((len(heights), 3))
    centres[:, 1] = heights
    builder.loft(Bone.SPINE, Part.TORSO, centres, (np.array(width) * thick, np.array(thickness) * thick), 16)
    seat = np.zeros((5, 3))
    seat[:, 1] = [0.015, 0.0, -0.03, -0.055, -0.07]
    seat_width = np.array([0.98, 1.06, 1.05, 0.85, 0.1]) * hip
    seat_depth = np.array([0.98, 1.05, 1.0, 0.8, 0.1]) * depth
    builder.loft(Bone.ROOT, Part.PELVIS, seat, (seat_width, seat_depth), 14)


def _head(builder: MeshBuilder, person: Identity) -> None:
    build, size = person.build, person.build.head_size
    shoulders = build.shoulder_height - build.hip_height
    throat = (0.925 - 0.825) * build.height - 0.02
    start = (0.0, shoulders + throat, 0.0)
    builder.limb(Bone.SPINE, Part.NECK, throat, 0.027 * build.height, 0.030 * build.height, start=start)
    builder.blob(Bone.HEAD, Part.HEAD, (0.0, 0.0, 0.0), (0.78 * size, 1.15 * size, 0.92 * size), segments=14, rings=9)
    if person.head.style == "long":
        back = (0.0, 0.3 * size, -0.45 * size)
        length, top, bottom = 2.4 * size, 0.72 * size, 0.6 * size
        builder.limb(Bone.HEAD, Part.HAIR, length, top, bottom, start=back, slant=-0.3 * size, flatness=0.6)
    if person.head.style == "bun":
        knot = 0.4 * size
        builder.blob(Bone.HEAD, Part.HAIR, (0.0, 0.7 * size, -0.85 * size), (knot, knot, knot), segments=8, rings=5)


def _leg(builder: MeshBuilder, person: Identity, side: int) -> None:
    build, tall = person.build, person.build.height
    width = (1.15 if person.bottom.kind == "trousers" else 0.95) * build.limb * (0.5 + 0.5 * build.weight) * tall
    first = Bone.LEFT_THIGH if side < 0 else Bone.RIGHT_THIGH
    builder.limb(first, Part.THIGH, build.thigh, 0.050 * width, 0.036 * width, middle=0.046 * width, segments=10)
    builder.limb(
        Bone(first + 1), Part.SHIN, build.shin, 0.036 * width, 0.024 * width, middle=0.034 * width, segments=10
    )
    builder.limb(Bone(first + 2), Part.FOOT, 0.085 * tall + 0.01, 0.024 * tall, 0.019 * tall)


def _arm(builder: MeshBuilder, person: Identity, side: int) -> None:
    build, tall = person.build, person.build.height
    sleeve = 1.22 if person.top.sleeves == "long" else 1.0
    width = build.limb * (0.6 + 0.4 * build.weight) * sleeve * tall
    first = Bone.LEFT_UPPER_ARM if side < 0 else Bone.RIGHT_UPPER_ARM
    fore = Bone(first + 1)
    builder.limb(first, Part.UPPER_ARM, build.upper_arm, 0.033 * width, 0.026 * width)
    builder.limb(fore, Part.FOREARM, build.forearm, 0.026 * width, 0.019 * width)
    wrist = (0.0, -build.forearm, 0.0)
    builder.limb(fore, Part.HAND, 0.05 * tall, 0.018 * tall, 0.014 * tall, segments=6, start=wrist)


def _skirt(builder: MeshBuilder, person: Identity) -> None:
    """Add a skirt, or the tail of a coat, deep enough for the person's usual stride."""
    build = person.build
    hip, depth = build.hip * build.height, build.depth * build.height
    if person.bottom.kind == "skirt":
        top, bottom, flare = 0.03, -0.17 * build.height, 0.45
    else:
        top, bottom, flare = 0.02, -(0.08 + 0.12 * person.top.hem) * build.height, 0.25
    along = np.linspace(0.0, 1.0, 5)
    wide = 1.12 + flare * along
    centres = np.zeros((5, 3))
    centres[:, 1] = top + (bottom - top) * along
    radii_x = hip * wide * (0.6 + 0.4 * build.weight)
    radii_z = (1.05 * depth + 0.06 * person.gait.stride * along) * wide
    builder.loft(Bone.ROOT, Part.SKIRT, centres, (radii_x, radii_z), 16)


def _bag(builder: MeshBuilder, person: Identity) -> None:
    build, bag = person.build, person.bag
    size, depth, hip = bag.size, build.depth * build.height, build.hip * build.height
    if bag.kind == "backpack":
        height = build.shoulder_height - build.hip_height - 0.14 * build.height
        centre = (0.0, height, -(1.1 * depth + 0.035 * size))
        radii = (0.085 * size, 0.115 * size, 0.05 * size)
        builder.blob(Bone.SPINE, Part.BAG, centre, radii, segments=12, boxiness=0.5)
    elif bag.kind == "shoulder":
        centre = (bag.side * (1.25 * hip + 0.02), 0.03, -0.01)
        radii = (0.03 * size, 0.06 * size, 0.085 * size)
        builder.blob(Bone.ROOT, Part.BAG, centre, radii, rings=6, boxiness=0.5)
    elif bag.kind == "hand":
        held = Bone.LEFT_HELD if bag.side < 0 else Bone.RIGHT_HELD
        radii = (0.025, 0.065 * size, 0.075 * size)
        builder.blob(held, Part.BAG, (0.0, -0.075 * size, 0.0), radii, rings=6, boxiness=0.5)
