"""One moment of a walk: joint angles, and the resulting skeleton of a person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reidbench.rendering.arrays import Floats
from reidbench.rendering.skeleton import Bone, Skeleton

from ..randomness import Stream
from .identity import Build, Gait, Identity

_UP = np.array([0.0, 1.0, 0.0])
_FRONT = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Pose:
    """Angles in radians; `phase` is the position in the step cycle, 0 to 2 pi."""

    phase: float
    stride: float
    elbow: float
    lean: float
    head_turn: float


def draw_pose(stream: Stream, gait: Gait) -> Pose:
    """Draw a random moment of this person's walk."""
    return Pose(
        phase=stream.uniform(0.0, 2 * math.pi),
        stride=gait.stride * stream.uniform(0.5, 1.2),
        elbow=gait.elbow * stream.uniform(0.6, 1.4),
        lean=gait.lean + stream.normal(0.0, 0.015),
        head_turn=stream.normal(0.0, 0.25),
    )


def skeleton(person: Identity, pose: Pose) -> Skeleton:
    """Return the bones of a person in this pose: y up from the floor, z to the front, in body heights."""
    rotations = np.zeros((len(Bone), 3, 3))
    rotations[:] = np.eye(3)
    origins = np.zeros((len(Bone), 3))
    bones = Skeleton(rotations, origins)
    build = person.build
    hips = np.array([0.0, build.hip_height, 0.0])
    spine = _bend(2.0 * pose.lean)
    _set(bones, Bone.ROOT, np.eye(3), hips)
    _set(bones, Bone.SPINE, spine, hips)
    centre = hips + spine @ np.array([0.0, 0.925 * build.height - build.hip_height, 0.012])
    _set(bones, Bone.HEAD, _turn(pose.head_turn), centre)
    for side, phase in ((-1, pose.phase), (1, pose.phase + math.pi)):
        _place_leg(bones, build, pose, side, phase)
        _place_arm(bones, person, pose, side, phase)
    return bones


def _place_leg(bones: Skeleton, build: Build, pose: Pose, side: int, phase: float) -> None:
    """Place a leg: hip swing, a knee that bends while the leg moves forward, a foot at a right angle to the shin."""
    swing = pose.stride * math.sin(phase)
    knee_bend = 0.12 + 1.44 * pose.stride * max(0.0, math.sin(phase - 2.0))
    calf = swing - knee_bend
    hip = np.array([side * 0.52 * build.hip * build.height, build.hip_height - 0.035, 0.0])
    down = np.array([side * 0.02, -math.cos(swing), math.sin(swing)])
    knee = hip + build.thigh * down
    shin = np.array([0.0, -math.cos(calf), math.sin(calf)])
    ankle = knee + build.shin * shin
    toes = np.array([side * 0.15, -0.12 + 0.6 * math.sin(calf), 1.0])
    first = Bone.LEFT_THIGH if side < 0 else Bone.RIGHT_THIGH
    _set(bones, first, _aim(down, _FRONT), hip)
    _set(bones, Bone(first + 1), _aim(shin, _FRONT), knee)
    _set(bones, Bone(first + 2), _aim(toes, _UP), ankle + np.array([0.0, -0.012, -0.012]))


def _place_arm(bones: Skeleton, person: Identity, pose: Pose, side: int, phase: float) -> None:
    """Place an arm, which swings against the leg on its side; an arm with a bag in its hand hangs straight down."""
    build, thick = person.build, person.top.sleeves == "long"
    swing = 0.05 - pose.stride * math.sin(phase)
    out = person.gait.arm_out + (0.05 if thick else 0.0)
    reach = side * build.shoulder * build.height * 0.93 * (1.10 if thick else 1.0)
    spine, hips = bones.rotations[Bone.SPINE], bones.origins[Bone.SPINE]
    shoulder = hips + spine @ np.array([reach, build.shoulder_height - 0.035 * build.height - build.hip_height, 0.0])
    upper = _unit(np.array([side * math.sin(out), -math.cos(swing) * math.cos(out), math.sin(swing)]))
    elbow = shoulder + build.upper_arm * upper
    bent = swing + pose.elbow
    lower = _unit(np.array([side * math.sin(out) * 0.3, -math.cos(bent), math.sin(bent)]))
    wrist = elbow + build.forearm * lower
    first = Bone.LEFT_UPPER_ARM if side < 0 else Bone.RIGHT_UPPER_ARM
    _set(bones, first, _aim(upper, _FRONT), shoulder)
    _set(bones, Bone(first + 1), _aim(lower, _FRONT), elbow)
    held = Bone.LEFT_HELD if side < 0 else Bone.RIGHT_HELD
    _set(bones, held, np.eye(3), wrist + 0.05 * build.height * lower)


def _set(bones: Skeleton, bone: Bone, rotation: Floats, origin: Floats) -> None:
    bones.rotations[bone] = rotation
    bones.origins[bone] = origin


def _bend(angle: float) -> Floats:
    """Return the rotation about x that tips the upper end to the front."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _turn(angle: float) -> Floats:
    """Return the rotation about y that turns the front towards positive x."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _aim(direction: Floats, front: Floats) -> Floats:
    """Return the rotation that hangs a bone along `direction` with its front as near to `front` as possible."""
    down = _unit(direction)
    z = _unit(front - (front @ down) * down)
    return np.stack([np.cross(-down, z), -down, z], axis=1)


def _unit(vector: Floats) -> Floats:
    return vector / math.sqrt(float(vector @ vector))
