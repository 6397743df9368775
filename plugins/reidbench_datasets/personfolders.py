"""A folder for each person, as written by prepare.py of layumi's Person_reID_baseline_pytorch.

The folder's name is the person; its file names repeat the person and add the camera: 0002/0002_c1s1_000451_03.jpg.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reidbench.data import UNKNOWN_CAMERA, Dataset, FileNameRule, Split, find_overlap, need_folder, settle_people
from reidbench.data.layouts.folders import LARGEST, MARKET_LIKE
from reidbench.data.split import JUNK
from reidbench.data.walk import first_names, is_picture, list_names, why_no_picture
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number

from .common import fingerprint_parts, finish, place
from .market import otherwise
from .params import PersonFoldersParams

INSIDE = ("pytorch",)
EXAMPLE = "0002/0002_c1s1_000451_03.jpg"
OTHER_PERSON = "their names and folders have different persons"
NO_PERSON = "they are not in a folder whose name is a person's number"


class File(NamedTuple):
    """A file below train, query or gallery: its relative path, the person of its folder, its name."""

    path: str
    person: int | None
    name: str


def open_folders(params: PersonFoldersParams, root: Path, cache: Path) -> Dataset:
    """Read the folders; excludes files whose names do not match, or name a different person from their folder."""
    root = place(root, cache, *INSIDE)
    _check_layout(params, root)
    files = {folder: list(_files(root / folder)) for folder in _folders(params)}
    names = [file.name for found in files.values() for file in found]
    rule = MARKET_LIKE.counting_cameras(names) if params.cameras == "name" else None
    splits: dict[str, Split] = {}
    strays: dict[str, list[str]] = {}
    notes: list[str] = []
    for part, folders in _parts(params).items():
        rows, left = _read({folder: files[folder] for folder in folders}, rule)
        if not rows:
            raise DataError(f"{shown(root / folders[0])}: no image with a name like {EXAMPLE}{otherwise(root)}")
        splits[part] = Split.of_columns(root, *zip(*rows, strict=True))
        notes += [f"{part}: {len(found)} files left out, {why}: {first_names(found)}" for why, found in left.items()]
        strays |= {part: [path for found in left.values() for path in found]} if left else {}
    if params.strict and strays:
        raise DataError(f"{shown(root)}: {notes[0]}")
    dataset = Dataset(root.name, root, splits["train"], splits["query"], splits["gallery"], tuple(notes), strays=strays)
    dataset = find_overlap(settle_people(dataset))
    variant = f"person-folders:{params.published}:{params.train}"
    return dataset if params.published == "none" else finish(dataset, params, variant)


def fingerprint(params: PersonFoldersParams, root: Path) -> str:
    """Return names and contents of the folders that are read. Raises DataError if one is missing."""
    return fingerprint_parts(params, root, *_folders(params), inside=INSIDE, check=partial(_check_layout, params))


def _check_layout(params: PersonFoldersParams, root: Path) -> None:
    for folder in _folders(params):
        try:
            need_folder(root / folder)
        except DataError as error:
            raise DataError(f"{error}{_cure(params, root)}") from None


def _cure(params: PersonFoldersParams, root: Path) -> str:
    """Return the end of an error message: the training folder that exists instead of the requested one."""
    there = [name for name in ("train_all", "train") if (root / name).is_dir()]
    missing = not all((root / name).is_dir() for name in _parts(params)["train"])
    return f"; set train: {there[0]}" if there and missing else otherwise(root)


def _parts(params: PersonFoldersParams) -> dict[str, Sequence[str]]:
    return {"train": params.train.split("+"), "query": ["query"], "gallery": ["gallery"]}


def _folders(params: PersonFoldersParams) -> list[str]:
    return [folder for folders in _parts(params).values() for folder in folders]


def _files(place: Path) -> Iterator[File]:
    """Yield every file in a folder and in the folders of its persons, sorted."""
    for entry in list_names(place):
        person = whole_number(entry.rstrip("/"))
        if person is None or not JUNK <= person <= LARGEST or not (place / entry).is_dir():
            yield File(entry, None, entry)
        else:
            yield from (File(f"{entry.rstrip('/')}/{name}", person, name) for name in list_names(place / entry))


def _read(
    files: Mapping[str, Sequence[File]], rule: FileNameRule | None
) -> tuple[list[tuple[str, int, int]], dict[str, list[str]]]:
    """Return ((path, pid, camid) of the images in some folders, excluded paths by reason)."""
    rows: list[tuple[str, int, int]] = []
    left: dict[str, list[str]] = {}
    for folder, found in files.items():
        for file in found:
            labels, path = _labels(file, rule), f"{folder}/{file.path}"
            if isinstance(labels, str):
                left.setdefault(labels, []).append(path)
            else:
                rows.append((path, *labels))
    return rows, left


def _labels(file: File, rule: FileNameRule | None) -> tuple[int, int] | str:
    """Return (pid, camid) of a file, or the reason why it has none. Without a rule the camera is unknown."""
    if file.person is None:
        return NO_PERSON
    if rule is None:
        return (file.person, UNKNOWN_CAMERA) if is_picture(file.name) else why_no_picture(file.name)
    read = rule.read(file.name)
    if read is None:
        return rule.why_not(file.name)
    return read if read[0] == file.person else OTHER_PERSON
