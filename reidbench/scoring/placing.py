"""Which row of a file of features is which image of a data set: by name, by content, or by labels in the same order."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data import UNKNOWN_CAMERA, Split
from reidbench.data.split import JUNK
from reidbench.data.walk import without_ending
from reidbench.errors import DataError
from reidbench.files.names import shown

from .imagefeatures import Block, all_blocks
from .pids import Ints

FIRST = 3  # images that a sentence names
HASH = re.compile(r"([0-9a-f]{64})(\.\w+)?", re.ASCII | re.I)  # sha256 of a picture's file, as its name

Place = tuple[str, int]  # part and row


@dataclass(frozen=True)
class Placed:
    """Features by part, each [N, D] in the order of the data set, and sentences on what was assumed or left out."""

    features: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...]


def place_features(
    files: Mapping[str, Path], parts: Mapping[str, Split], data: str, numbers: Callable[[Split], NDArray[np.int64]]
) -> Placed:
    """The features that files have for query and gallery of the data set called `data`.

    `files` are by part, or one by "" for both. `numbers` gives the first 8 bytes of each picture's sha256 as int64 [N],
    for names that are hashes. Raises DataError, naming the first images, where an image has no feature or two
    different ones, where a name may be several images, and where labels differ from those of the data set.
    """
    placing = _Placing(parts, data, numbers)
    for block in all_blocks(files):
        placing.add(block)
    return placing.done(files)


class _Placing:
    """Gives each image its feature, block by block."""

    def __init__(self, parts: Mapping[str, Split], data: str, numbers: Callable[[Split], NDArray[np.int64]]) -> None:
        self.parts = parts
        self.data = data
        self.numbers = numbers
        self.found: dict[Place, tuple[str, NDArray[Any]]] = {}  # the name that gave it, and the feature
        self.surplus: list[str] = []
        self.doubled: list[str] = []
        self.ordered: dict[str, None] = {}  # files without names

    def add(self, block: Block) -> None:
        """Take in the features of a block."""
        if block.names is None:
            places = self.in_order(block)
        else:
            places = [self.named(block, name) for name in block.names]
            self.check_labels(block, places)
        for row, mine in enumerate(places):
            name = block.names[row] if block.names else ""
            if not mine:
                self.surplus.append(name)
            for place in mine:
                self.give(block, place, name, block.features[row])

    def give(self, block: Block, place: Place, name: str, feature: NDArray[Any]) -> None:
        before, had = self.found.setdefault(place, (name, feature))
        if had is feature:
            return
        if not np.array_equal(had, feature):
            names = shown(name) if name == before else f"{shown(before)} and {shown(name)}"
            raise DataError(
                f"{shown(block.path)}: {self.path(place)} is in it twice, with different features (as {names}); remove "
                "one of them"
            )
        self.doubled.append(self.path(place))

    def path(self, place: Place) -> str:
        """An image for a sentence."""
        return shown(self.parts[place[0]].paths[place[1]])

    # ------------------------------------------------------------------ by labels in order
    def in_order(self, block: Block) -> list[list[Place]]:
        """The places of rows without names: those of the data set, if count and labels are the same."""
        split = self.parts[block.part]
        if len(block.features) != len(split):
            junk = int((split.pids == JUNK).sum())
            without = f" ({junk} of them junk, which need features too)" if junk else ""
            raise DataError(
                f"{shown(block.path)}: {len(block.features)} {block.part} features without names, and {self.data} has "
                f"{len(split)} {block.part} images{without}; save the names of the images beside them, as `names`"
            )
        known = (split.camids != UNKNOWN_CAMERA).any()
        if block.pids is None or (known and (block.camids is None or (block.camids == UNKNOWN_CAMERA).all())):
            raise DataError(
                f"{shown(block.path)}: {block.part} features with neither names of images nor pids and camids as "
                "numbers: nothing tells which image is which; save `names`"
            )
        places = [[(block.part, row)] for row in range(len(split))]
        self.check_labels(block, places)
        self.ordered[shown(block.path.name)] = None
        return places

    def check_labels(self, block: Block, places: Sequence[Sequence[Place]]) -> None:
        """Raise DataError for the first image whose label in a file is not that of the data set.

        Cameras may be counted from 1: all are then one more.
        """
        rows = np.array([row for row, mine in enumerate(places) for _ in mine], np.intp)
        mine = [place for one in places for place in one]
        pids = np.array([self.parts[part].pids[row] for part, row in mine], np.int64)
        camids = np.array([self.parts[part].camids[row] for part, row in mine], np.int64)
        self._compare(block, mine, "pid", pids, None if block.pids is None else block.pids[rows])
        if block.camids is not None:
            theirs = block.camids[rows]
            seen = (camids != UNKNOWN_CAMERA) & (theirs != UNKNOWN_CAMERA)
            from_one = bool(seen.any() and (theirs[seen] == camids[seen] + 1).all())
            ours = np.where(seen, camids + from_one, theirs)
            self._compare(block, mine, "camid", ours, theirs)

    def _compare(self, block: Block, mine: Sequence[Place], what: str, ours: Ints, theirs: Ints | None) -> None:
        if theirs is None or (ours == theirs).all():
            return
        wrong = np.flatnonzero(ours != theirs)
        at = int(wrong[0])
        more = f" ({len(wrong)} images differ)" if len(wrong) > 1 else ""
        raise DataError(
            f"{shown(block.path)}: {what} {theirs[at]} for {self.path(mine[at])}, which has {what} {ours[at]} in "
            f"{self.data}{more}: another order, or other images; save the names of the images beside the features, as "
            "`names`"
        )

    # ------------------------------------------------------------------ by name or content
    def named(self, block: Block, given: str) -> list[Place]:
        """The places of the image of that name; [] where there is none.

        A name is a path of the data set, begins with more folders or has fewer, and may lack the ending. Raises
        DataError where it may be several images.
        """
        name = posixpath.normpath(given.replace("\\", "/"))
        found = self._of_part(self.by_name(name), block.part)
        if not found and (hashed := HASH.fullmatch(posixpath.basename(name))):
            return self._of_part(self.by_content.get(hashed[1].lower()[:16], ()), block.part)
        if len(paths := {self.path(place): None for place in found}) > 1:
            one, other = list(paths)[:2]
            raise DataError(
                f"{shown(block.path)}: {shown(given)} may be {one} or {other} of {self.data}; name images by their "
                "path below the data's root, or give a file for each part: {query: FILE, gallery: FILE}"
            )
        return found

    def by_name(self, name: str) -> Sequence[Place]:
        """All images that a name may mean; the longest agreement counts."""
        pieces = name.split("/")
        ends = ["/".join(pieces[start:]) for start in range(len(pieces))]
        for whole, by_end in self.tables:
            exact = next((whole[end] for end in ends if end in whole), None)
            if places := exact or by_end.get(name):
                return places
        return ()

    def _of_part(self, places: Sequence[Place], part: str) -> list[Place]:
        return [place for place in places if not part or place[0] == part]

    @cached_property
    def tables(self) -> list[tuple[dict[str, list[Place]], dict[str, list[Place]]]]:
        """Images by their whole path, and by its ends; then the same without the ending of the file."""
        tables: list[tuple[dict[str, list[Place]], dict[str, list[Place]]]] = [({}, {}), ({}, {})]
        for part, split in self.parts.items():
            for row, path in enumerate(split.paths):
                for (whole, by_end), name in zip(tables, (path, without_ending(path)), strict=True):
                    whole.setdefault(name, []).append((part, row))
                    pieces = name.split("/")
                    for start in range(1, len(pieces)):
                        by_end.setdefault("/".join(pieces[start:]), []).append((part, row))
        return tables

    @cached_property
    def by_content(self) -> dict[str, list[Place]]:
        """Images by the first 16 hexadecimal digits of their sha256; equal pictures are at several places."""
        found: dict[str, list[Place]] = {}
        for part, split in self.parts.items():
            for row, number in enumerate(self.numbers(split).astype("<i8")):
                found.setdefault(number.tobytes().hex(), []).append((part, row))
        return found

    # ------------------------------------------------------------------ the whole
    def done(self, files: Mapping[str, Path]) -> Placed:
        """All features. Raises DataError where an image has none."""
        where = " and ".join(dict.fromkeys(shown(path.name) for path in files.values()))
        every = [(part, row) for part, split in self.parts.items() for row in range(len(split))]
        missing = [place for place in every if place not in self.found]
        if missing:
            without = _counted([self.path(place) for place in missing])
            unused = f"; the file also has what {self.data} has not: {_counted(self.surplus)}" if self.surplus else ""
            junk = sum(int(self.parts[part].pids[row]) == JUNK for part, row in missing)
            few = f"; {junk} of them junk (pid -1), which here needs features too" if junk else ""
            raise DataError(f"{where}: no features for {without}, of {len(every)} images of {self.data}{few}{unused}")
        return Placed(self.arrays(), tuple(self.notes(where)))

    def notes(self, where: str) -> Iterator[str]:
        """Sentences on what was assumed or left out."""
        for name in self.ordered:
            yield f"{name}: no names of images in it; its order is that of {self.data}, whose pids and camids are equal"
        if self.surplus:
            yield f"{where}: left out, since {self.data} has no such test image: {_counted(self.surplus)}"
        if self.doubled:
            yield f"{where}: more than once in it, with equal features: {_counted(self.doubled)}"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Features by part, in the order of the data set."""
        return {
            part: _plain(np.stack([self.found[part, row][1] for row in range(len(split))]))
            for part, split in self.parts.items()
        }


def _plain(features: NDArray[Any]) -> NDArray[Any]:
    """Of 32 bits, or of 64 where the file has that many."""
    wide = features.dtype.itemsize > 4 or (features.dtype.kind != "f" and features.dtype.itemsize > 2)
    return features.astype(np.float64 if wide else np.float32, copy=False)


def _counted(names: Sequence[str]) -> str:
    """`2 images (a, b)`, with the first three names."""
    first = ", ".join(map(shown, names[:FIRST])) + (", ..." if len(names) > FIRST else "")
    return f"{len(names)} image{'' if len(names) == 1 else 's'} ({first})"
