"""Worlds whose images of a person at one camera show different walks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.render import Studio
from reidbench_synthetic.shots import Kind, list_shots
from reidbench_synthetic.worlds import WorldName


def agreement(world: WorldName) -> float:
    """Mean cosine of the angle between the viewing directions of the two images of a person at one camera."""
    studio = Studio(SyntheticParams(world=world, size="small"))
    shots = [shot for shot in list_shots(world, "small") if shot.part == "train"][:600]
    yaws = np.array([studio.sighting(shot).yaw for shot in shots]).reshape(-1, 2)
    assert all(first.key[:3] == second.key[:3] for first, second in zip(shots[::2], shots[1::2], strict=True))
    return float(np.cos(yaws[:, 0] - yaws[:, 1]).mean())


@pytest.mark.parametrize("world", ["avenue", "terminal"])
def test_directions_at_one_camera_are_independent(world: WorldName) -> None:
    # Directions of equal mean and deviation 1.6, four tenths of them reversed: exp(-1.6 ** 2) * (1 - 2 * 0.4) ** 2
    assert agreement(world) == pytest.approx(0.003, abs=0.15)  # standard error of 300 pairs: 0.04


def test_directions_of_one_walk_are_similar() -> None:
    assert agreement("plaza") > 0.95


@pytest.mark.parametrize("world", ["avenue", "terminal"])
def test_small_has_300_persons_for_training(world: WorldName) -> None:
    shots = list_shots(world, "small")
    assert Counter(shot.part for shot in shots) == {"train": 3600, "query": 600, "gallery": 690}
    assert len({shot.pid for shot in shots if shot.part == "train"}) == 300
    assert len({shot.path for shot in shots}) == len(shots)
    assert {shot.alone for shot in shots} == {True}
    assert {shot.kind for shot in shots} == {Kind.PERSON, Kind.DISTRACTOR, Kind.JUNK}
