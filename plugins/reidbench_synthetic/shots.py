"""The images of a data set, listed without rendering: person, camera and file name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

from .worlds import WORLDS, Size, SizeName, World, WorldName, size_of

Part = Literal["train", "query", "gallery"]
_FRAMES = 100  # more than the frames of any walk
_OUTFITS = 3
# Outfits at cameras 0 to 3, in the query and in the gallery of a test. Gallery camera 0 has the same clothes as queries
# of camera 1 and different from camera 2, as in PRCC; between cameras 1 and 2 clothes stay and between 2 and 3 they
# change, as in VC-Clothes; and every person has matches in other cameras in the same and in other clothes.
_ASKED: tuple[tuple[int, ...], ...] = ((0,), (0,), (1,), (1,))
_ANSWERED: tuple[tuple[int, ...], ...] = ((0,), (1,), (0,), (0, 2))
FOLDERS: dict[Part, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


class Kind(IntEnum):
    """Content of an image; the value is the first digit of the frame number in its name."""

    PERSON = 0
    DISTRACTOR = 1
    JUNK = 2
    IRRELEVANT = 3


@dataclass(frozen=True)
class Shot:
    """One image. `index` counts the images of a pid at a camera, or those of its kind; `camera` from 0.

    `outfit` counts the clothes of a person. `tracklet` numbers the walks of a data set, -1 for a single image; in a
    walk the last two digits of `index` count frames, and the others count walks instead of images. An image `alone` has
    no walk in common with others: its viewing direction is independent of theirs.
    """

    part: Part
    kind: Kind
    pid: int
    camera: int
    index: int
    outfit: int = 0
    tracklet: int = -1
    alone: bool = False

    @property
    def name(self) -> str:
        """File name in Market-1501 style, unique in the data set."""
        pid = "-1" if self.pid < 0 else f"{self.pid:04d}"
        return f"{pid}_c{self.camera + 1}s1_{int(self.kind)}{self.index:05d}_00.png"

    @property
    def path(self) -> str:
        """Path of the file inside the data set's folder."""
        return f"{FOLDERS[self.part]}/{self.name}"

    @property
    def key(self) -> tuple[int, ...]:
        """Key of this image in random streams. It excludes the part: an image may change sides."""
        return int(self.kind), max(self.pid, 0), self.camera, self.index

    @property
    def track(self) -> tuple[int, ...]:
        """Key of one person's walk past one camera."""
        if self.tracklet >= 0:
            return *self.key[:3], self.walk
        if self.alone:
            return self.key
        return self.key[:3] if self.kind is Kind.PERSON else self.key

    @property
    def person(self) -> tuple[int, ...]:
        """Key of the person: the pid, or for strangers their kind and index."""
        return (self.pid,) if self.kind is Kind.PERSON else (int(self.kind), self.walk)

    @property
    def walk(self) -> int:
        """Number of the walk of a pid past a camera, or of the stranger; a single image is a separate walk."""
        return self.index // _FRAMES if self.tracklet >= 0 else self.index

    @property
    def frame(self) -> int:
        """Position in the walk, from 0."""
        return self.index % _FRAMES if self.tracklet >= 0 else 0


def list_shots(world: WorldName, size: SizeName) -> list[Shot]:
    """Return all images of a data set: train, query, gallery; pids 1..n are train, the next ones test."""
    counts, made = size_of(world, size), WORLDS[world]
    shots = list(_stills(made, counts))
    if made.outfits:
        shots = [replace(shot, outfit=_outfit(shot)) for shot in shots]
    if made.separate_walks:
        shots = [replace(shot, alone=True) for shot in shots]
    if counts.frames:
        shots = [
            replace(shot, index=_FRAMES * shot.index + frame, tracklet=number)
            for number, shot in enumerate(shots)
            for frame in range(counts.frames)
        ]
    return shots


def _stills(world: World, counts: Size) -> Iterator[Shot]:
    """Yield one image of each walk."""
    cameras = range(counts.cameras)
    train = range(1, counts.train_identities + 1)
    yield from _persons("train", train, cameras, counts, range(counts.images))
    if world.pool:
        yield from _strangers("train", Kind.IRRELEVANT, 0, counts.irrelevant, cameras)
        return
    test = range(train.stop, train.stop + counts.test_identities)
    images = range(counts.test_images or counts.images)
    visible = [camera for camera in cameras if camera not in world.infrared]
    if world.infrared:
        yield from _persons("query", test, sorted(world.infrared), counts, images)
        yield from _persons("gallery", test, visible, counts, images)
    else:
        yield from _persons("query", test, cameras, counts, images[:1])
        yield from _persons("gallery", test, cameras, counts, images[1:])
    yield from _strangers("gallery", Kind.DISTRACTOR, 0, counts.distractors, visible)
    yield from _strangers("gallery", Kind.JUNK, -1, counts.junk, visible)


def _persons(part: Part, pids: range, cameras: Sequence[int], counts: Size, indices: range) -> Iterator[Shot]:
    for pid in pids:
        for camera in cameras:
            again = counts.frames > 0 and part != "query" and camera == pid % counts.cameras  # a second walk
            for index in range(indices.start, indices.stop + again):
                yield Shot(part, Kind.PERSON, pid, camera, index)


def _strangers(part: Part, kind: Kind, pid: int, many: int, cameras: Sequence[int]) -> Iterator[Shot]:
    for index in range(many):
        yield Shot(part, kind, pid, cameras[index % len(cameras)], index)


def _outfit(shot: Shot) -> int:
    """Return the outfit of a person in a world with outfits; in training each outfit is seen at each camera."""
    if shot.part == "train":
        return (shot.pid + shot.camera + shot.index) % _OUTFITS
    worn = _ASKED if shot.part == "query" else _ANSWERED
    return worn[shot.camera][shot.index % len(worn[shot.camera])]
