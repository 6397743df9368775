"""Find duplicate images in a data set: files with the same bytes under different paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidbench.errors import DataError
from reidbench.files.names import shown

from .dataset import Dataset
from .fingerprints.contents import hash_files
from .pictures.lmdbfile import is_lmdb
from .split import Split

QUERY_IN_GALLERY = "query images in gallery"
TEST_IN_TRAIN = "test images in train"
PERSONS_IN_TRAIN = "test persons in train"
TEST_IN_VALIDATION = "test images in validation"
IMAGES = "images.npz"  # file of `image_numbers`, in the folder of a data stage
UNKNOWN = 0  # number of an unreadable image; matches no other image
EMPTY = int(np.frombuffer(hashlib.sha256().digest()[:8], dtype="<i8")[0])  # number of an empty file
NO_PICTURE = np.array([UNKNOWN, EMPTY])
SHOWN = 3


@dataclass(frozen=True)
class Overlap:
    """Sentences about duplicate and unreadable images.

    `problems` are wrong labels and files that are not images. `notes` must accompany every result on the set. `remarks`
    change no result.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def image_numbers(dataset: Dataset, cache: Path | None = None) -> dict[str, np.ndarray]:
    """Content number of each image, by split [N] int64: 64 bits of its sha256, the same for identical images.

    Files are read only if the index in `cache` does not have them. Returns {} for rendered sets, which know the truth,
    and for an lmdb without query and gallery, whose values would have to be read one by one.
    """
    parts = dataset.parts()
    if dataset.truth is not None or (is_lmdb(dataset.root) and "query" not in parts):
        return {}
    return {part: part_numbers(split, cache) for part, split in parts.items()}


def read_numbers(folder: Path) -> dict[str, np.ndarray]:
    """Image numbers in the folder of a data stage, by split; {} if there are none (rendered sets)."""
    file = folder / IMAGES
    if not file.is_file():
        return {}
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def part_numbers(split: Split, cache: Path | None = None) -> np.ndarray:
    """Content numbers of one split's images [N] int64; 0 for an unreadable image."""
    if is_lmdb(split.root):
        digests = b"".join(_digest_of(split, index) for index in range(len(split)))
        return np.frombuffer(digests, dtype="<i8").astype(np.int64)
    hashed = hash_files(split.root, split.paths, cache)
    numbers = hashed.digests[:, :8].copy().view("<i8")[:, 0].astype(np.int64)
    numbers[list(hashed.errors)] = UNKNOWN
    return numbers


def _digest_of(split: Split, index: int) -> bytes:
    """First 8 bytes of the hash; zeros for an unreadable image, which is reported when it is decoded."""
    try:
        return hashlib.sha256(split._encoded(index)[1]).digest()[:8]
    except DataError:
        return bytes(8)


def shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Indices of the images of `one` that are also in `other`."""
    return np.flatnonzero(np.isin(one, other) & ~np.isin(one, NO_PICTURE))


def find_overlaps(dataset: Dataset, numbers: Mapping[str, np.ndarray]) -> Overlap:
    """Find images in parts where they must not be, and duplicates within a part."""
    parts = dataset.parts()
    broken = tuple(_broken(parts, numbers))
    if not {"query", "gallery"} <= parts.keys() or not {"query", "gallery"} <= numbers.keys():
        return Overlap(broken)
    query, gallery = parts["query"], parts["gallery"]
    notes = []
    twice = shared(numbers["query"], numbers["gallery"])
    if len(twice):
        pair = _first_pair(query, numbers["query"], gallery, numbers["gallery"])
        notes.append(
            f"{len(twice)} of {len(query)} query images are in the gallery too (identical files), first {pair}: "
            "no query is compared with its own image"
        )
    notes += _in_train(parts, numbers)
    problems = (*broken, *several_persons(parts, numbers))
    return Overlap(problems, tuple(notes), tuple(_repeated(gallery, numbers["gallery"])))


def _broken(parts: Mapping[str, Split], numbers: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Images that no stage can use: dead links and empty files."""
    for part, found in numbers.items():
        for number, what in (
            (UNKNOWN, "cannot be read (a dead link or a missing file)"),
            (EMPTY, "are empty (0 bytes)"),
        ):
            rows = np.flatnonzero(found == number)
            if len(rows):
                first = shown(parts[part].paths[int(rows[0])])
                yield f"{part}: {len(rows)} of {len(found)} images {what}, first {first}"


def _in_train(parts: Mapping[str, Split], numbers: Mapping[str, np.ndarray]) -> Iterator[str]:
    for part in ("query", "gallery"):
        found = shared(numbers[part], numbers["train"])
        if len(found):
            pair = _first_pair(parts[part], numbers[part], parts["train"], numbers["train"])
            yield f"{len(found)} of {len(parts[part])} {part} images are in train too (identical files), first {pair}"


def persons_in_train(train: np.ndarray, query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Pids of test identities that are in train; junk and distractors are not identities."""
    test = np.union1d(query, gallery)
    return np.intersect1d(test[test > 0], train)


def several_persons(
    parts: Mapping[str, Split],
    numbers: Mapping[str, np.ndarray],
    among: Sequence[str] = ("query", "gallery"),
    what: str = "test",
) -> Iterator[str]:
    """Images in these parts with two pids, at least one of which is wrong."""
    of = [(part, index) for part in among for index in np.flatnonzero(parts[part].pids > 0).tolist()]
    if not of:
        return
    content = np.array([numbers[part][index] for part, index in of])
    pids = np.array([parts[part].pids[index] for part, index in of])
    pairs = np.unique(np.column_stack([content, pids]), axis=0)
    several, counts = np.unique(pairs[:, 0], return_counts=True)
    several = several[(counts > 1) & ~np.isin(several, NO_PICTURE)]
    if len(several):
        first = {int(pids[at]): of[at] for at in np.flatnonzero(content == several[0]).tolist()[::-1]}
        named = [f"{shown(parts[part].paths[index])} is identity {pid}" for pid, (part, index) in sorted(first.items())]
        yield f"{len(several)} {what} images (identical files) have several pids: {', '.join(named[:SHOWN])}"


def _repeated(gallery: Split, numbers: np.ndarray) -> Iterator[str]:
    known = numbers[~np.isin(numbers, NO_PICTURE)]
    more = len(known) - len(np.unique(known))
    if more:
        _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
        at = int(first[(counts > 1) & ~np.isin(numbers[first], NO_PICTURE)].min())
        others = np.flatnonzero(numbers == numbers[at])
        pair = f"{shown(gallery.paths[at])} = {shown(gallery.paths[others[1]])}"
        yield f"{more} gallery images repeat another gallery image (identical files), first {pair}"


def _first_pair(one: Split, numbers: np.ndarray, other: Split, others: np.ndarray) -> str:
    at = int(shared(numbers, others)[0])
    return f"{shown(one.paths[at])} = {shown(other.paths[int(np.flatnonzero(others == numbers[at])[0])])}"
