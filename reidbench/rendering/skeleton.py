"""Bones and joints of a body, shared by dressed persons and the bare humanoid, whose meshes differ.

Everywhere y is up, z is the front, x completes the right-handed frame, and LEFT is towards negative x: left for a
viewer in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .arrays import Floats


class Bone(IntEnum):
    """Rigid bones. A bare body has all except the last two, which hold carried objects."""

    ROOT = 0
    SPINE = 1
    HEAD = 2
    LEFT_THIGH = 3
    LEFT_SHIN = 4
    LEFT_FOOT = 5
    LEFT_UPPER_ARM = 6
    LEFT_FOREARM = 7
    RIGHT_THIGH = 8
    RIGHT_SHIN = 9
    RIGHT_FOOT = 10
    RIGHT_UPPER_ARM = 11
    RIGHT_FOREARM = 12
    LEFT_HELD = 13
    RIGHT_HELD = 14


PARENTS = (-1, 0, 1, 0, 3, 4, 1, 6, 0, 8, 9, 1, 11)  # of a bare body's bones
BONES = len(PARENTS)


class Joint(IntEnum):
    """Rows of every array of joints [15, 3]. NECK is its base, HEAD the centre of the head."""

    PELVIS = 0
    NECK = 1
    HEAD = 2
    LEFT_HIP = 3
    LEFT_KNEE = 4
    LEFT_ANKLE = 5
    LEFT_SHOULDER = 6
    LEFT_ELBOW = 7
    LEFT_WRIST = 8
    RIGHT_HIP = 9
    RIGHT_KNEE = 10
    RIGHT_ANKLE = 11
    RIGHT_SHOULDER = 12
    RIGHT_ELBOW = 13
    RIGHT_WRIST = 14


MIRRORED_JOINTS = (0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 6, 7, 8)  # rows after mirroring


@dataclass(frozen=True)
class Skeleton:
    """Positions of the bones: `rotations` [B, 3, 3] (columns are the bone's axes) and `origins` [B, 3]."""

    rotations: Floats
    origins: Floats
