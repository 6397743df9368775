"""Match rows of a feature file with images of a data set: by name, by content hash, or by labels in the same order."""

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

FIRST = 3  # images that a message lists
HASH = re.compile(r"([0-9a-f]{64})(\.\w+)?", re.ASCII | re.I)  # an image name that is the file's SHA-256

Place = tuple[str, int]  # part and row


@dataclass(frozen=True)
class Placed:
    """Features by part, each [N, D] in the order of the data set, and notes on assumptions and skipped rows."""

    features: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...]


def place_features(
    files: Mapping[str, Path], parts: Mapping[str, Split], data: str, numbers: Callable[[Split], NDArray[np.int64]]
) -> Placed:
    """Return the features of query and gallery of the data set named `data` from files.

    `files` are by part, or one file under "" for both. `numbers` returns the first 8 bytes of each image's SHA-256 as
    int64 [N], for names that are hashes. Raises DataError, with the first images, if an image has no feature or two
    different ones, if a name is ambiguous, or if labels differ from the data set's.
    """
    placing = _Placing(parts, data, numbers)
    for block in all_blocks(files):
        placing.add(block)
    return placing.done(files)


class _Placing:
    """Assigns features to images, block by block."""

    def __init__(self, parts: Mapping[str, Split], data: str, numbers: Callable[[Split], NDArray[np.int64]]) -> None:
        self.parts = parts
        self.data = data
        self.numbers = numbers
        self.found: dict[Place, tuple[str, NDArray[Any]]] = {}  # name in the file, and feature
        self.surplus: list[str] = []
        self.doubled: list[str] = []
        self.ordered: dict[str, None] = {}  # files without names

    def add(self, block: Block) -> None:
        """Assign the features of a block."""
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
                f"{shown(block.path)}: contains {self.path(place)} twice, with different features (as {names}); remove "
                "one of them"
            )
        self.doubled.append(self.path(place))

    def path(self, place: Place) -> str:
        """Return the path of an image, for messages."""
        return shown(self.parts[place[0]].paths[place[1]])

    # ------------------------------------------------------------------ by labels in order
    def in_order(self, block: Block) -> list[list[Place]]:
        """Return the images of rows without names: those of the data set in order, if count and labels match."""
        split = self.parts[block.part]
        if len(block.features) != len(split):
            junk = int((split.pids == JUNK).sum())
            without = f" ({junk} of them junk, which also need features)" if junk else ""
            raise DataError(
                f"{shown(block.path)}: {len(block.features)} {block.part} features without names, but {self.data} has "
                f"{len(split)} {block.part} images{without}; save the image names as `names`"
            )
        known = (split.camids != UNKNOWN_CAMERA).any()
        if block.pids is None or (known and (block.camids is None or (block.camids == UNKNOWN_CAMERA).all())):
            raise DataError(
                f"{shown(block.path)}: {block.part} features have neither image names nor numeric pids and camids, so "
                "they cannot be matched with images; save the image names as `names`"
            )
        places = [[(block.part, row)] for row in range(len(split))]
        self.check_labels(block, places)
        self.ordered[shown(block.path.name)] = None
        return places

    def check_labels(self, block: Block, places: Sequence[Sequence[Place]]) -> None:
        """Raise DataError for the first image whose label in a file differs from the data set's.

        Cameras may be numbered from 1; all are then greater by one.
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
            f"{self.data}{more}; the order or the images differ; save the image names as `names`"
        )

    # ------------------------------------------------------------------ by name or content
    def named(self, block: Block, given: str) -> list[Place]:
        """Return the images with a name; [] if there is none.

        A name is a path of the data set, with more or fewer leading folders, with or without the extension. Raises
        DataError if it is ambiguous.
        """
        name = posixpath.normpath(given.replace("\\", "/"))
        found = self._of_part(self.by_name(name), block.part)
        if not found and (hashed := HASH.fullmatch(posixpath.basename(name))):
            return self._of_part(self.by_content.get(hashed[1].lower()[:16], ()), block.part)
        if len(paths := {self.path(place): None for place in found}) > 1:
            one, other = list(paths)[:2]
            raise DataError(
                f"{shown(block.path)}: {shown(given)} matches both {one} and {other} of {self.data}; name images by "
                "their path below the data's root, or give a file for each part: {query: FILE, gallery: FILE}"
            )
        return found

    def by_name(self, name: str) -> Sequence[Place]:
        """Return all images that a name matches; the longest match wins."""
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
        """Images by their whole path and by its suffixes, then the same without file extension."""
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
        """Images by the first 16 hexadecimal digits of their SHA-256; several for identical images."""
        found: dict[str, list[Place]] = {}
        for part, split in self.parts.items():
            for row, number in enumerate(self.numbers(split).astype("<i8")):
                found.setdefault(number.tobytes().hex(), []).append((part, row))
        return found

    # ------------------------------------------------------------------ result
    def done(self, files: Mapping[str, Path]) -> Placed:
        """Return all features. Raises DataError if an image has none."""
        where = " and ".join(dict.fromkeys(shown(path.name) for path in files.values()))
        every = [(part, row) for part, split in self.parts.items() for row in range(len(split))]
        missing = [place for place in every if place not in self.found]
        if missing:
            without = _counted([self.path(place) for place in missing])
            unused = (
                f"; the file also has images that {self.data} lacks: {_counted(self.surplus)}" if self.surplus else ""
            )
            junk = sum(int(self.parts[part].pids[row]) == JUNK for part, row in missing)
            few = f"; {junk} of them junk (pid -1), which also needs features" if junk else ""
            raise DataError(f"{where}: no features for {without}, of {len(every)} images of {self.data}{few}{unused}")
        return Placed(self.arrays(), tuple(self.notes(where)))

    def notes(self, where: str) -> Iterator[str]:
        """Yield notes on assumptions and skipped rows."""
        for name in self.ordered:
            yield f"{name}: has no image names; its order is taken from {self.data}, whose pids and camids match"
        if self.surplus:
            yield f"{where}: skipped, since {self.data} has no such test image: {_counted(self.surplus)}"
        if self.doubled:
            yield f"{where}: contained more than once, with equal features: {_counted(self.doubled)}"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return features by part, in the order of the data set."""
        return {
            part: _plain(np.stack([self.found[part, row][1] for row in range(len(split))]))
            for part, split in self.parts.items()
        }


def _plain(features: NDArray[Any]) -> NDArray[Any]:
    """Convert features to 32 bits, or to 64 if the file has that precision."""
    wide = features.dtype.itemsize > 4 or (features.dtype.kind != "f" and features.dtype.itemsize > 2)
    return features.astype(np.float64 if wide else np.float32, copy=False)


def _counted(names: Sequence[str]) -> str:
    """Return `2 images (a, b)`, with the first three names."""
    first = ", ".join(map(shown, names[:FIRST])) + (", ..." if len(names) > FIRST else "")
    return f"{len(names)} image{'' if len(names) == 1 else 's'} ({first})"
