"""Persons and cameras of a stand-in: as few images as every sampler can work with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TRAIN = range(1, 13)
TEST = range(13, 19)
JUNK = range(4)  # gallery boxes that are dropped
DISTRACTORS = range(6)


@dataclass(frozen=True)
class Shot:
    """An image of a person from a camera, counted from 0; `number` counts the images of both from 0."""

    person: int
    camera: int
    number: int


def shots(persons: Iterable[int], cameras: int, each: int) -> Iterator[Shot]:
    """Yield `each` images of every person from every camera."""
    for person in persons:
        for camera in range(cameras):
            yield from (Shot(person, camera, number) for number in range(each))


def is_query(shot: Shot, cameras: int) -> bool:
    """Return whether an image of a test person is the query: one for each person, cameras in turn."""
    return shot.number == 0 and shot.camera == shot.person % cameras
