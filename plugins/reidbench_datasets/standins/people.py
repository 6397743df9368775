"""Who is seen in a stand-in, and by which camera: as few pictures as every sampler can work with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TRAIN = range(1, 13)
TEST = range(13, 19)
JUNK = range(4)  # boxes of the gallery that are dropped
DISTRACTORS = range(6)


@dataclass(frozen=True)
class Shot:
    """One picture of a person, by a camera from 0; `number` counts those of both from 0."""

    person: int
    camera: int
    number: int


def shots(persons: Iterable[int], cameras: int, each: int) -> Iterator[Shot]:
    """`each` pictures of every person by every camera."""
    for person in persons:
        for camera in range(cameras):
            yield from (Shot(person, camera, number) for number in range(each))


def is_query(shot: Shot, cameras: int) -> bool:
    """Whether a picture of a test person is the query: one for each person, all cameras in turn."""
    return shot.number == 0 and shot.camera == shot.person % cameras
