"""SYSU-MM01 (Wu et al., ICCV 2017): four visible and two infrared cameras.

cam1 to cam6 have a folder for each person, and exp/ lists the persons of training, validation and test. The queries are
the infrared images of the test persons, the gallery is all their visible images; the evaluator draws the protocol's
gallery from it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from reidbench.data import Dataset, Split, find_overlap, look_through, need_folder
from reidbench.data.morelabels import MoreLabels
from reidbench.data.walk import stray_notes, without_ending
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number
from reidbench.files.text import read_lines

from .common import fingerprint_parts, finish, place
from .modality_params import SysuParams

CAMERAS = tuple(f"cam{number}" for number in range(1, 7))
INFRARED = frozenset({2, 5})  # camids of cam3 and cam6
LISTS = {"train": "exp/train_id.txt", "val": "exp/val_id.txt", "test": "exp/test_id.txt"}
INSIDE = ("SYSU-MM01",)
NAME = re.compile(r"(?P<pid>[0-9]{4})/[0-9]{4}")  # below a camera's folder
UNMATCHED = "their names are not like 0001/0001.jpg"
LAST_PERSON = 9999
SHOWN = 5


class _Image(NamedTuple):
    path: str
    pid: int
    camid: int


def open_sysu(params: SysuParams, root: Path, cache: Path) -> Dataset:
    """Read the unpacked release. Raises DataError for a missing folder or list, and for an invalid list."""
    root = place(root, cache, *INSIDE)
    _check_layout(root)
    persons = _persons(root)
    images, strays, notes = _images(root)
    trained = persons["train"] | (persons["val"] if params.train == "trainval" else frozenset())
    train = [image for image in images if image.pid in trained]
    query = [image for image in images if image.pid in persons["test"] and image.camid in INFRARED]
    gallery = [image for image in images if image.pid in persons["test"] and image.camid not in INFRARED]
    splits = (
        _split(root, train, "person of training"),
        _split(root, query, "test person in an infrared camera"),
        _split(root, gallery, "test person in a visible camera"),
    )
    notes += _left_out(images, trained, persons)
    dataset = Dataset("sysu-mm01", root, *splits, tuple(notes), strays={"train": strays} if strays else {})
    return finish(_without_pictures(find_overlap(dataset), images, persons), params, f"sysu-mm01:{params.train}")


def fingerprint(params: SysuParams, root: Path) -> str:
    """Return names and contents of the images and lists. Raises DataError if a folder or a list is missing."""
    return fingerprint_parts(params, root, *CAMERAS, files=tuple(LISTS.values()), inside=INSIDE, check=_check_layout)


def _check_layout(root: Path) -> None:
    for camera in CAMERAS:
        need_folder(root / camera)
    gone = [file for file in LISTS.values() if not (root / file).is_file()]
    if gone:
        raise DataError(
            f"{shown(root)}: {', '.join(gone)} missing: the lists come with the release and give the persons"
        )


def _persons(root: Path) -> dict[str, frozenset[int]]:
    """Return the persons of train, val and test. Raises DataError for a person in two of them."""
    found = {part: _listed(root / file) for part, file in LISTS.items()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        both = sorted(found[one] & found[other])
        if both:
            raise DataError(
                f"{shown(root / LISTS[other])}: {_some(both)} in {LISTS[one]} too; a person may be in one part only"
            )
    return found


def _listed(file: Path) -> frozenset[int]:
    """Return the persons of a list: numbers separated by commas, in the release all on one line."""
    found = set()
    for number, line in enumerate(read_lines(file, "list of persons"), start=1):
        for word in filter(None, map(str.strip, line.split(","))):
            person = whole_number(word)
            if person is None or not 1 <= person <= LAST_PERSON:
                raise DataError(
                    f"{shown(file)}:{number}: {shown(word)!r} is not a person's number; the list is like 1,2,4"
                )
            found.add(person)
    if not found:
        raise DataError(f"{shown(file)}: contains no person")
    return frozenset(found)


def _images(root: Path) -> tuple[list[_Image], list[str], list[str]]:
    """Return (all images, sorted by path; images whose names do not match; notes) of the six cameras."""
    images: list[_Image] = []
    strays: list[str] = []
    notes: list[str] = []
    for camid, camera in enumerate(CAMERAS):
        tree = look_through(root / camera)
        wrong = []
        for path in tree.images:
            match = NAME.fullmatch(without_ending(path))
            if match is None:
                wrong.append(path)
            else:
                images.append(_Image(f"{camera}/{path}", int(match["pid"]), camid))
        notes += stray_notes(camera, wrong, lambda _: UNMATCHED) + tree.notes(camera)
        strays += [f"{camera}/{path}" for path in wrong]
    return sorted(images), strays, notes


def _split(root: Path, images: list[_Image], what: str) -> Split:
    if not images:
        raise DataError(f"{shown(root)}: no image of a {what}")
    paths, pids, camids = zip(*images, strict=True)
    words = ["infrared" if camid in INFRARED else "visible" for camid in camids]
    return Split.of_columns(root, paths, pids, camids, more=MoreLabels.of(modality=words))


def _left_out(images: list[_Image], trained: frozenset[int], persons: dict[str, frozenset[int]]) -> list[str]:
    """Return notes on images of persons who are not in a split: unlisted ones, and val's if it is not trained on."""
    rest = [image.pid for image in images if image.pid not in trained | persons["test"]]
    validation = [pid for pid in rest if pid in persons["val"]]
    unlisted = [pid for pid in rest if pid not in persons["val"]]
    notes = []
    if validation:
        notes.append(f"{len(validation)} images of {len(set(validation))} persons of val_id.txt left out: train: train")
    if unlisted:
        notes.append(f"{len(unlisted)} images of {len(set(unlisted))} persons left out, who are not in any list of exp")
    return notes


def _without_pictures(dataset: Dataset, images: list[_Image], persons: dict[str, frozenset[int]]) -> Dataset:
    """Return the data set, with a fault for each list that has persons without an image."""
    seen = {image.pid for image in images}
    for part, file in LISTS.items():
        gone = sorted(persons[part] - seen)
        if gone:
            dataset = dataset.with_faults(f"{file}: {_some(gone)} without an image")
    return dataset


def _some(persons: list[int]) -> str:
    first = ", ".join(map(str, persons[:SHOWN])) + (", ..." if len(persons) > SHOWN else "")
    return f"{len(persons)} persons ({first})" if len(persons) > 1 else f"person {first}"
