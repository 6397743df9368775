"""Walks, and infrared images: the camera's effect on them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.pictures.camera import LAMP
from reidbench_synthetic.pictures.sighting import Occluder
from reidbench_synthetic.pictures.walk import Frame, Passing
from reidbench_synthetic.render import Studio
from reidbench_synthetic.shots import Kind, Shot, list_shots
from reidbench_synthetic.truth import Truth

FOOTAGE = SyntheticParams(world="footage", size="small")
NIGHTFALL = SyntheticParams(world="nightfall", size="tiny")


def walks_of(kind: Kind, many: int = 20) -> list[list[Shot]]:
    found: dict[int, list[Shot]] = {}
    for shot in list_shots("footage", "small"):
        if shot.kind is kind:
            found.setdefault(shot.tracklet, []).append(shot)
    return list(found.values())[:many]


# --- walks


def test_frames_of_a_walk_differ_and_show_one_person() -> None:
    studio = Studio(FOOTAGE)
    for shots in walks_of(Kind.PERSON, 4) + walks_of(Kind.DISTRACTOR, 2) + walks_of(Kind.JUNK, 2):
        assert len({id(studio.person(shot.person)[0]) for shot in shots}) == 1
        pictures = [studio.picture(shot).tobytes() for shot in shots]
        assert len(set(pictures)) == len(shots)


def test_a_person_steps_on_and_the_scene_moves_past() -> None:
    studio = Studio(FOOTAGE)
    for shots in walks_of(Kind.PERSON):
        frames = [studio.sighting(shot) for shot in shots]
        steps = np.diff([frame.pose.phase for frame in frames])
        assert 0.5 <= steps.min() <= steps.max() < 1.1
        np.testing.assert_allclose(steps, steps[0], atol=1e-9)
        assert len({frame.pose.stride for frame in frames}) == 1
        assert np.ptp([frame.yaw for frame in frames]) < math.pi / 3
        assert len({frame.framing for frame in frames}) == len(frames)
        moves = np.sign(np.diff([frame.scene_right for frame in frames]))
        assert len(set(moves[moves != 0])) <= 1  # in one direction, up to the scene's end


def test_walks_of_one_person_differ() -> None:
    studio = Studio(FOOTAGE)
    starts = [studio.sighting(shots[0]).yaw for shots in walks_of(Kind.PERSON) if shots[0].pid == 1]
    assert len(starts) == len(set(starts)) == 5  # four cameras, one of them twice


def test_some_frames_are_blurred_and_some_hidden_while_others_of_the_walk_are_not() -> None:
    studio = Studio(FOOTAGE)
    walks = [[studio.sighting(shot) for shot in shots] for shots in walks_of(Kind.PERSON, 100)]
    frames = [frame for walk in walks for frame in walk]
    assert all(isinstance(frame, Frame) for frame in frames)
    blurred = np.mean([isinstance(frame, Frame) and frame.blur > 0 for frame in frames])
    assert 0.05 < blurred < 0.5
    hidden = [[frame.occluder is not None for frame in walk] for walk in walks]
    assert any(any(walk) and not all(walk) for walk in hidden)
    assert any(not any(walk) for walk in hidden)


def test_a_blurred_frame_has_softer_edges() -> None:
    studio = Studio(FOOTAGE)
    sharp, soft = [], []
    for shots in walks_of(Kind.PERSON):
        for shot in shots:
            frame = studio.sighting(shot)
            edges = np.abs(np.diff(studio.rendering(shot).clean, axis=0)).mean()
            assert isinstance(frame, Frame)
            (soft if frame.blur else sharp).append(edges)
    assert np.mean(soft) < 0.8 * np.mean(sharp)


def test_what_passes_comes_from_one_side_and_goes() -> None:
    look = Occluder("bottom", 0.7, 1.0, (0.2, 0.2, 0.2))
    passing = Passing(start=-0.5, width=0.25, speed=0.5, look=look)
    first, second, third, fourth = (passing.at(frame) for frame in range(4))
    assert first is None
    assert second is not None
    assert (second.kind, second.start, second.size) == ("pole", 0.0, 0.25)
    assert third is not None
    assert (third.start, third.size) == (0.5, 0.25)
    assert third.covers(4, 8)[0].tolist() == [False] * 4 + [True, True] + [False] * 2
    assert fourth is None
    cut = Passing(start=-0.125, width=0.25, speed=0.5, look=look).at(0)
    assert cut is not None
    assert (cut.start, cut.size) == (0.0, 0.125)


def test_two_studios_render_the_same_walk() -> None:
    (shots,) = walks_of(Kind.PERSON, 1)
    assert all(np.array_equal(Studio(FOOTAGE).picture(shot), Studio(FOOTAGE).picture(shot)) for shot in shots[:2])


# --- infrared


def test_an_infrared_picture_has_equal_channels_and_a_visible_one_has_not() -> None:
    studio = Studio(NIGHTFALL)
    for camera in range(6):
        picture = studio.picture(Shot("train", Kind.PERSON, 2, camera, 1)).astype(int)
        spread = np.ptp(picture, axis=2)
        assert (spread.max() == 0) == (camera in (2, 5))
        assert picture.std() > 5


def test_an_infrared_camera_has_its_lamp_and_noise_and_its_place() -> None:
    studio = Studio(NIGHTFALL)
    for camera in (2, 5):
        assert studio.camera(camera).light == LAMP
        assert studio.camera(camera).noise > max(studio.camera(day).noise for day in (0, 1, 3, 4)) * 0.8
    assert math.dist(LAMP, (0, 0, 0)) == pytest.approx(1)
    shots = [Shot("train", Kind.PERSON, 2, camera, 1) for camera in (1, 2)]
    inside, dark = (studio.rendering(shot).background for shot in shots)
    assert dark.mean() < inside.mean()


def test_restyle_crosses_between_day_and_infrared() -> None:
    """The same moment through the other kind of camera: greys from a visible picture, colours from an infrared one."""
    truth, studio = Truth(NIGHTFALL), Studio(NIGHTFALL)
    day, night = "0001_c1s1_000001_00.png", "0001_c3s1_000001_00.png"
    assert np.ptp(truth.restyle(day, 2), axis=2).max() == 0
    assert np.ptp(truth.restyle(night, 0), axis=2).max() > 30
    for name, camera in ((day, 0), (night, 2)):
        own = studio.picture(Shot("train", Kind.PERSON, 1, camera, 1))
        assert np.array_equal(truth.restyle(name, camera), own)
        assert np.array_equal(truth.view(name, 0.0), own)
    assert np.array_equal(truth.mask(day), studio.rendering(Shot("train", Kind.PERSON, 1, 0, 1), infrared=True).mask)
