"""The renderer's bodies match its pixels, the lengths of bones, and rotations by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.rendering.mesh import Part
from reidbench.rendering.skeleton import Joint
from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.pictures.joints import Body, find_body
from reidbench_synthetic.pictures.sighting import Framing
from reidbench_synthetic.render import Studio
from reidbench_synthetic.shots import Kind, Shot, list_shots
from reidbench_synthetic.truth import Truth

TINY = SyntheticParams(world="station", size="tiny")
STRAIGHT = Framing(right=0.0, down=0.0, stretch=1.4, zoom=1.0)
SIDES = ((Joint.LEFT_HIP, Joint.LEFT_SHOULDER), (Joint.RIGHT_HIP, Joint.RIGHT_SHOULDER))


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(TINY)


def seen(studio: Studio, yaw: float, pitch: float = 0.0, shape: tuple[int, int] = (48, 24)) -> Body:
    """Person 3 at a moment of their walk, from a chosen side."""
    shot = Shot("train", Kind.PERSON, 3, 1, 0)
    person, mesh = studio.person(shot.person)
    return find_body(person, mesh, dataclasses.replace(studio.sighting(shot), yaw=yaw, framing=STRAIGHT), pitch, shape)


def test_bones_have_their_lengths_from_every_side(studio: Studio) -> None:
    build = studio.person((3,))[0].build
    for yaw, pitch in ((0.0, 0.0), (1.1, 0.3), (4.0, 0.4)):
        joints = seen(studio, yaw, pitch).joints
        assert joints.shape == (15, 3)
        assert not joints[Joint.PELVIS].any()
        for hip, shoulder in SIDES:
            lengths = np.linalg.norm(np.diff(joints[[hip, hip + 1, hip + 2]], axis=0), axis=1)
            np.testing.assert_allclose(lengths, [0.245, build.shin / build.height], rtol=0.001)  # 0.02 to the side
            lengths = np.linalg.norm(np.diff(joints[[shoulder, shoulder + 1, shoulder + 2]], axis=0), axis=1)
            np.testing.assert_allclose(lengths, [0.165, 0.15], atol=1e-9)


def test_yaw_and_pitch_turn_about_the_vertical_and_then_tilt(studio: Studio) -> None:
    front = seen(studio, 0.0).joints
    assert front[Joint.LEFT_SHOULDER, 0] < -0.05 < 0.05 < front[Joint.RIGHT_SHOULDER, 0]
    side = seen(studio, math.pi / 2).joints  # the front is now at the right: x is what z was, z what -x was
    np.testing.assert_allclose(side, np.stack([front[:, 2], front[:, 1], -front[:, 0]], axis=1), atol=1e-9)
    tilted = seen(studio, math.pi / 2, 0.4).joints
    c, s = math.cos(0.4), math.sin(0.4)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    np.testing.assert_allclose(tilted, side @ turn.T, atol=1e-9)
    assert tilted[Joint.HEAD, 2] > side[Joint.HEAD, 2] + 0.1  # the camera looks down on the head


def test_joints_in_the_picture_follow_framing_and_shape(studio: Studio) -> None:
    body, wide = seen(studio, 0.5).joints2d, seen(studio, 0.5, shape=(48, 48)).joints2d
    np.testing.assert_allclose(wide[:, 1], body[:, 1])
    np.testing.assert_allclose(wide[:, 0] - 0.5, (body[:, 0] - 0.5) / 2)
    assert (np.argsort(body[[Joint.HEAD, Joint.NECK, Joint.PELVIS, Joint.LEFT_ANKLE], 1]) == [0, 1, 2, 3]).all()
    assert 0.04 < body[Joint.HEAD, 1] < 0.04 + 2 * 0.08  # the box ends 0.04 below the edge, half a head above it
    height = body[Joint.RIGHT_ANKLE, 1] - body[Joint.HEAD, 1]
    assert 0.7 < height < 0.92


def test_joints_lie_on_the_pixels_of_their_parts() -> None:
    """In pictures without an occluder, at twice the size, a joint is on the person and the head on the head."""
    params = SyntheticParams(world="crowd", size="small")
    studio, truth = Studio(params), Truth(params)
    head: list[bool] = []
    covered: list[bool] = []
    for shot in list_shots("crowd", "small")[:1200:40]:
        if studio.sighting(shot).occluder:
            continue
        parts = studio.rendering(shot).parts
        points = (truth.body(shot.name).joints2d * parts.shape[::-1]).astype(int)
        inside = ((points >= 0) & (points < parts.shape[::-1])).all(1)
        x, y = points[Joint.HEAD]
        head.append(parts[y, x] in (Part.HEAD, Part.HAIR))
        covered += (parts[points[inside, 1], points[inside, 0]] >= 0).tolist()
    assert len(head) > 20
    assert np.mean(head) > 0.9  # a raised arm may hide one
    assert np.mean(covered) > 0.97


def test_girths_are_those_of_the_mesh(studio: Studio) -> None:
    """By the formulas of the pieces: 0.97 shoulders, 1.06 hips and depth, 0.05 and 0.033 limbs, 1.15 of the head."""
    person, _ = studio.person((3,))
    build = person.build
    found = seen(studio, 2.0).girths
    thick = 1.1 if person.top.sleeves == "long" else 1.0
    # A tube reaches its radius where a corner of its sides is on the axis, and a little less elsewhere.
    assert 0.97 <= found[1] / (1.06 * build.hip) <= 1.001
    assert found[0] == pytest.approx(thick * max(0.97 * build.shoulder, 1.06 * build.hip))
    assert found[2] >= thick * 1.05 * build.depth - 1e-9
    legs = (1.15 if person.bottom.kind == "trousers" else 0.95) * build.limb * (0.5 + 0.5 * build.weight)
    arms = build.limb * (0.6 + 0.4 * build.weight) * (1.22 if thick > 1 else 1.0)
    assert 0.95 <= found[3] / (0.05 * legs) <= 1.001
    assert 0.95 <= found[4] / (0.033 * arms) <= 1.001
    assert found[5] == pytest.approx(1.15 * build.head_size / build.height, rel=0.01)


def test_truth_tells_the_body_of_every_person_and_of_nobody_else() -> None:
    truth = Truth(SyntheticParams(world="crowd", size="tiny"))
    name = "0001_c2s1_000001_00.png"
    body = truth.body(name)
    assert body.yaw == truth.yaw(name)
    assert np.array_equal(body.joints, Truth(SyntheticParams(world="crowd", size="tiny")).body(name).joints)
    with pytest.raises(DataError, match="no person"):
        truth.body("0000_c2s1_300001_00.png")
    with pytest.raises(DataError, match="not an image of crowd"):
        truth.body("9999_c1s1_000000_00.png")
