"""The pictures of a set, listed without rendering any: who, which camera, and the file's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

from .worlds import WORLDS, Size, SizeName, World, WorldName, size_of

Part = Literal["train", "query", "gallery"]
_FRAMES = 100  # more than a walk has
_OUTFITS = 3
# Outfits in turn at cameras 0 to 3, in the query and in the gallery of a test. Gallery 0 sees queries of camera 1 in
# the same clothes and of camera 2 in others, as in PRCC; between cameras 1 and 2 clothes stay and between 2 and 3 they
# change, as in VC-Clothes; and everybody is seen elsewhere in the same and in other clothes.
_ASKED: tuple[tuple[int, ...], ...] = ((0,), (0,), (1,), (1,))
_ANSWERED: tuple[tuple[int, ...], ...] = ((0,), (1,), (0,), (0, 2))
FOLDERS: dict[Part, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


class Kind(IntEnum):
    """What a picture shows; the number is the first digit of the frame number in its name."""

    PERSON = 0
    DISTRACTOR = 1
    JUNK = 2
    IRRELEVANT = 3


@dataclass(frozen=True)
class Shot:
    """One picture. `index` counts the pictures of a pid at a camera, or those of its kind; `camera` from 0.

    `outfit` counts the clothes of a person. `tracklet` numbers the walks of a set, -1 for a single picture; in a walk
    the last two digits of `index` count frames, and the others walks where they count pictures else.
    """

    part: Part
    kind: Kind
    pid: int
    camera: int
    index: int
    outfit: int = 0
    tracklet: int = -1

    @property
    def name(self) -> str:
        """The file's name in the manner of Market-1501, unique in the set."""
        pid = "-1" if self.pid < 0 else f"{self.pid:04d}"
        return f"{pid}_c{self.camera + 1}s1_{int(self.kind)}{self.index:05d}_00.png"

    @property
    def path(self) -> str:
        """The file inside the set's folder."""
        return f"{FOLDERS[self.part]}/{self.name}"

    @property
    def key(self) -> tuple[int, ...]:
        """Names this picture in random streams. The part is not in it: a picture may change sides."""
        return int(self.kind), max(self.pid, 0), self.camera, self.index

    @property
    def track(self) -> tuple[int, ...]:
        """Names one person's walk past one camera."""
        if self.tracklet >= 0:
            return *self.key[:3], self.walk
        return self.key[:3] if self.kind is Kind.PERSON else self.key

    @property
    def person(self) -> tuple[int, ...]:
        """Who is seen: the pid, or for strangers their kind and index."""
        return (self.pid,) if self.kind is Kind.PERSON else (int(self.kind), self.walk)

    @property
    def walk(self) -> int:
        """Which walk of a pid past a camera, or which stranger; a single picture is a walk of its own."""
        return self.index // _FRAMES if self.tracklet >= 0 else self.index

    @property
    def frame(self) -> int:
        """The place in the walk, from 0."""
        return self.index % _FRAMES if self.tracklet >= 0 else 0


def list_shots(world: WorldName, size: SizeName) -> list[Shot]:
    """All pictures of a set: train, query, gallery; pids 1..n train, the next ones test."""
    counts, made = size_of(world, size), WORLDS[world]
    shots = list(_stills(made, counts))
    if made.outfits:
        shots = [replace(shot, outfit=_outfit(shot)) for shot in shots]
    if counts.frames:
        shots = [
            replace(shot, index=_FRAMES * shot.index + frame, tracklet=number)
            for number, shot in enumerate(shots)
            for frame in range(counts.frames)
        ]
    return shots


def _stills(world: World, counts: Size) -> Iterator[Shot]:
    """One picture of each walk."""
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
            again = counts.frames > 0 and part != "query" and camera == pid % counts.cameras  # walks past once more
            for index in range(indices.start, indices.stop + again):
                yield Shot(part, Kind.PERSON, pid, camera, index)


def _strangers(part: Part, kind: Kind, pid: int, many: int, cameras: Sequence[int]) -> Iterator[Shot]:
    for index in range(many):
        yield Shot(part, kind, pid, cameras[index % len(cameras)], index)


def _outfit(shot: Shot) -> int:
    """What a person of a world of several outfits wears; in training each outfit at each camera."""
    if shot.part == "train":
        return (shot.pid + shot.camera + shot.index) % _OUTFITS
    worn = _ASKED if shot.part == "query" else _ANSWERED
    return worn[shot.camera][shot.index % len(worn[shot.camera])]
