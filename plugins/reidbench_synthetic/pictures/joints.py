"""A person's joints, in space and in the image: targets for body regressors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidbench.rendering.arrays import Floats
from reidbench.rendering.mesh import Mesh, Part
from reidbench.rendering.skeleton import Bone, Joint, Skeleton

from ..persons.identity import Identity
from ..persons.pose import skeleton
from .figure import MIDDLE, flatten, frame, look
from .sighting import Sighting


@dataclass(frozen=True)
class Body:
    """Geometry of a person in an image.

    `joints` [15,3] are in the camera's frame, with the pelvis at 0: x to the right, y up, z to the viewer, after yaw
    and pitch, in heights of this person. `joints2d` [15,2] are fractions of the image, x to the right and y down, also
    outside of it or behind an occluder. `yaw` 0 shows the front, `pitch` is the camera's downward angle; radians.
    `girths` [6], in heights of this person, are the largest half-widths of the dressed trunk, of the hips, of the
    trunk's depth, of a thigh and an upper arm, and half the head's height.
    """

    joints: Floats
    joints2d: Floats
    yaw: float
    pitch: float
    girths: Floats


def find_body(person: Identity, mesh: Mesh, sighting: Sighting, pitch: float, shape: tuple[int, int]) -> Body:
    """Return the body of a sighting for a camera with downward angle `pitch`; `shape` = (height, width)."""
    height, width = shape
    bones = skeleton(person, sighting.pose)
    shift = np.array([0.0, MIDDLE, 0.0])
    seen = look(_positions(person, bones) - shift, sighting.yaw, pitch)
    outline = flatten(look(mesh.posed(bones)[0] - shift, sighting.yaw, pitch))
    box = outline.min(0), outline.max(0)
    return Body(
        joints=(seen - seen[Joint.PELVIS]) / person.build.height,
        joints2d=frame(flatten(seen), box, sighting.framing, height, width) / (width, height),
        yaw=sighting.yaw,
        pitch=pitch,
        girths=_girths(mesh) / person.build.height,
    )


def _positions(person: Identity, bones: Skeleton) -> Floats:
    """Return the joints [15,3] in the person's frame: most are at the start of a bone, some at its end."""
    build = person.build
    points = np.empty((len(Joint), 3))
    points[Joint.PELVIS] = bones.origins[Bone.ROOT]
    points[Joint.NECK] = _along(bones, Bone.SPINE, build.shoulder_height - build.hip_height)
    points[Joint.HEAD] = bones.origins[Bone.HEAD]
    for hip, thigh, arm in (
        (Joint.LEFT_HIP, Bone.LEFT_THIGH, Bone.LEFT_UPPER_ARM),
        (Joint.RIGHT_HIP, Bone.RIGHT_THIGH, Bone.RIGHT_UPPER_ARM),
    ):
        shin, forearm = Bone(thigh + 1), Bone(arm + 1)
        points[hip : hip + 2] = bones.origins[[thigh, shin]]
        points[hip + 2] = _along(bones, shin, -build.shin)
        points[hip + 3 : hip + 5] = bones.origins[[arm, forearm]]
        points[hip + 5] = _along(bones, forearm, -build.forearm)
    return points


def _along(bones: Skeleton, bone: Bone, distance: float) -> Floats:
    """Return the point at `distance` up a bone's axis."""
    place: Floats = bones.origins[bone] + distance * bones.rotations[bone][:, 1]
    return place


def _girths(mesh: Mesh) -> Floats:
    """Return the largest coordinates of pieces in their bones' frames, including clothes."""
    measured = (
        (Part.TORSO, 0), (Part.PELVIS, 0), (Part.TORSO, 2), (Part.THIGH, 0), (Part.UPPER_ARM, 0), (Part.HEAD, 1),
    )  # fmt: skip
    girths = np.empty(len(measured))
    for number, (part, axis) in enumerate(measured):
        corners = np.unique(mesh.faces[mesh.parts == part])
        girths[number] = mesh.vertices[corners, axis].max()
    return girths
