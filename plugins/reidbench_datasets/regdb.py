"""RegDB (Nguyen et al., Sensors 2017): 412 persons, ten visible and ten thermal images each.

The ten splits are those that cross-modality papers share, as lists in idx/. A visible and a thermal camera are mounted
next to each other, so each modality is one camera. A person's number is that of the folder; the labels in the lists
number training and test persons both from 0.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from reidbench.data import Dataset, Split, find_overlap, look_through, need_folder
from reidbench.data.morelabels import MoreLabels
from reidbench.data.walk import Present, first_names
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number
from reidbench.files.text import read_lines

from .common import fingerprint_parts, finish, place
from .modality_params import RegdbParams

FOLDERS = {"visible": "Visible", "thermal": "Thermal"}  # camids 0 and 1, in this order
PARTS = ("train", "test")
INSIDE = ("RegDB",)
PATH = re.compile(r"(?P<folder>Visible|Thermal)/(?P<pid>[0-9]{1,6})/[^/]+")
EXAMPLE = "{}/1/male_front_{}_00007_1.bmp 0"
Row = tuple[str, int, int]  # path, pid, camid


def list_file(part: str, modality: str, split: int) -> str:
    """Return the path of the list of a modality in train or test, below the root."""
    return f"idx/{part}_{modality}_{split}.txt"


def open_regdb(params: RegdbParams, root: Path, cache: Path) -> Dataset:
    """Read one of the ten splits. Raises DataError for a missing folder or list, and for an invalid line of a list."""
    root = place(root, cache, *INSIDE)
    _check_layout(params, root)
    reader = _Reader(root, params.split)
    gallery = next(modality for modality in FOLDERS if modality != params.query)
    rows = {
        "train": reader.rows("train", "train", *FOLDERS),
        "query": reader.rows("query", "test", params.query),
        "gallery": reader.rows("gallery", "test", gallery),
    }
    first = 1 if any(pid == 0 for part in rows.values() for _, pid, _ in part) else 0  # here 0 would be a distractor
    train, query, gallery_split = (_split(root, part, rows[part], first) for part in rows)
    notes = (*reader.notes(), f"split {params.split} of ten: published numbers are means over all ten")
    strays = reader.strays()
    dataset = Dataset("regdb", root, train, query, gallery_split, notes, absent=reader.absent,
                      strays={"train": strays} if strays else {})  # fmt: skip
    return finish(find_overlap(dataset), params, f"regdb:{params.query}")


def fingerprint(params: RegdbParams, root: Path) -> str:
    """Return names and contents of the images and of the split's lists. Raises DataError if they are missing."""
    check = partial(_check_layout, params)
    return fingerprint_parts(params, root, *FOLDERS.values(), files=_lists(params.split), inside=INSIDE, check=check)


def _lists(split: int) -> tuple[str, ...]:
    return tuple(list_file(part, modality, split) for part in PARTS for modality in FOLDERS)


def _check_layout(params: RegdbParams, root: Path) -> None:
    for folder in FOLDERS.values():
        need_folder(root / folder)
    gone = [file for file in _lists(params.split) if not (root / file).is_file()]
    if gone:
        raise DataError(f"{shown(root)}: {', '.join(gone)} missing: the lists of split {params.split} give the persons "
                "of training and test")  # fmt: skip


class _Reader:
    """Reads the lists of one split, and records listed images that are missing."""

    def __init__(self, root: Path, split: int) -> None:
        self.root, self.split = root, split
        self._trees = {folder: look_through(root / folder) for folder in FOLDERS.values()}
        self._there = Present(f"{folder}/{path}" for folder, tree in self._trees.items() for path in tree.images)
        self._listed: dict[str, str] = {}  # path in a list: its place
        self._persons: dict[tuple[str, int], int] = {}  # (part of the lists, label): person
        self._labels: dict[tuple[str, int], int] = {}  # (part of the lists, person): label
        self._used: set[str] = set()
        self.absent: dict[str, list[str]] = {}

    def rows(self, part: str, listed: str, *modalities: str) -> list[Row]:
        """Return (path, pid, camid) of the existing images of some lists."""
        found = []
        for modality in modalities:
            file = list_file(listed, modality, self.split)
            camid = tuple(FOLDERS).index(modality)
            for number, line in enumerate(read_lines(self.root / file, "list of images"), start=1):
                if line.strip():
                    name, pid = self._read(listed, modality, f"{shown(self.root / file)}:{number}", line.strip())
                    path = self._there.find(name)
                    if path is None:
                        self.absent.setdefault(part, []).append(name)
                    else:
                        self._used.add(path)
                        found.append((path, pid, camid))
        return found

    def _read(self, listed: str, modality: str, where: str, line: str) -> tuple[str, int]:
        """Return (path, person) of a line. Raises DataError if it is invalid, or contradicts another line."""
        name, _, text = line.rpartition(" ")
        match, label = PATH.fullmatch(name), whole_number(text)
        if match is None or match["folder"] != FOLDERS[modality] or label is None or label < 0:
            example = EXAMPLE.format(FOLDERS[modality], modality[0])
            raise DataError(f"{where}: {shown(line)!r} is not a line like {example!r}")
        if name in self._listed:
            raise DataError(f"{where}: duplicate name {shown(name)}, first at {self._listed[name]}")
        self._listed[name] = where
        pid = int(match["pid"])
        known = self._persons.setdefault((listed, label), pid), self._labels.setdefault((listed, pid), label)
        if known != (pid, label):
            other = f"label {label} to the folder of person {known[0]}" if known[0] != pid else f"it label {known[1]}"
            raise DataError(
                f"{where}: label {label} for the folder of person {pid}, but an earlier line of {listed} gives {other}"
            )
        return name, pid

    def strays(self) -> list[str]:
        """Return the images that no list of the split names."""
        return sorted(self._there.names - self._used)

    def notes(self) -> list[str]:
        """Return notes on excluded and missing images."""
        notes = [f"{part}: {len(files)} listed images are missing: {first_names(files)}"
                 for part, files in self.absent.items()]  # fmt: skip
        strays = self.strays()
        if strays:
            notes.append(f"{len(strays)} files are not in any list of the split: {first_names(strays)}")
        return notes + [note for folder, tree in self._trees.items() for note in tree.notes(folder)]


def _split(root: Path, part: str, rows: list[Row], first: int) -> Split:
    """Return a split, sorted by path; `first` is added to the pids."""
    if not rows:
        raise DataError(f"{shown(root)}: {part}: all listed images are missing")
    paths, pids, camids = zip(*sorted(rows), strict=True)
    words = [tuple(FOLDERS)[camid] for camid in camids]
    return Split.of_columns(root, paths, [pid + first for pid in pids], camids, more=MoreLabels.of(modality=words))
