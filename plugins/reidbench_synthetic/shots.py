"""The pictures of a set, listed without rendering any: who, which camera, and the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from .worlds import WORLDS, Size, SizeName, WorldName, size_of

Part = Literal["train", "query", "gallery"]
FOLDERS: dict[Part, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


class Kind(IntEnum):
    """What a picture shows; the number is the first digit of the frame number in its name."""

    PERSON = 0
    DISTRACTOR = 1
    JUNK = 2
    IRRELEVANT = 3


@dataclass(frozen=True)
class Shot:
    """One picture. `index` counts the pictures of a pid at a camera, or those of its kind; `camera` from 0."""

    part: Part
    kind: Kind
    pid: int
    camera: int
    index: int

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
        return self.key[:3] if self.kind is Kind.PERSON else self.key

    @property
    def person(self) -> tuple[int, ...]:
        """Who is seen: the pid, or for strangers their kind and index."""
        return (self.pid,) if self.kind is Kind.PERSON else (int(self.kind), self.index)


def list_shots(world: WorldName, size: SizeName) -> list[Shot]:
    """All pictures of a set: train, query, gallery; pids 1..n train, the next ones test."""
    counts = size_of(world, size)
    shots = list(_persons("train", 1, counts.train_identities, counts, range(counts.images)))
    if WORLDS[world].pool:
        return shots + list(_strangers("train", Kind.IRRELEVANT, 0, counts.irrelevant, counts.cameras))
    first, many = counts.train_identities + 1, counts.test_identities
    shots += _persons("query", first, many, counts, range(1))
    shots += _persons("gallery", first, many, counts, range(1, counts.images))
    shots += _strangers("gallery", Kind.DISTRACTOR, 0, counts.distractors, counts.cameras)
    shots += _strangers("gallery", Kind.JUNK, -1, counts.junk, counts.cameras)
    return shots


def _persons(part: Part, first: int, many: int, counts: Size, indices: range) -> Iterator[Shot]:
    for pid in range(first, first + many):
        for camera in range(counts.cameras):
            for index in indices:
                yield Shot(part, Kind.PERSON, pid, camera, index)


def _strangers(part: Part, kind: Kind, pid: int, many: int, cameras: int) -> Iterator[Shot]:
    for index in range(many):
        yield Shot(part, kind, pid, index % cameras, index)
