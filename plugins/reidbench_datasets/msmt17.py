"""MSMT17 (Wei et al., CVPR 2018), V1 and V2. V2 has blurred faces, so results on V1 and V2 are not comparable.

The lists give the person, the third field of a name the camera (two digits). Training and test persons are both
numbered from 0, a valid person: here training persons are 1 to 1041 and test persons 1042 to 4101.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from reidbench.data import Dataset, FileNameRule, Split, look_through, need_folder
from reidbench.data.walk import Present, first_names
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number
from reidbench.files.text import read_lines

from .common import fingerprint_parts, finish, place, sorted_split
from .params import MsmtParams

FOLDERS = {"msmt17-v1": ("train", "test"), "msmt17-v2": ("mask_train_v2", "mask_test_v2")}
INSIDE = {"msmt17-v1": "MSMT17_V1", "msmt17-v2": "MSMT17_V2"}
LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
TRAIN_PERSONS = 1041
RULE = FileNameRule(r"(?P<pid>[0-9]{4})_[0-9]{3}_(?P<cam>[0-9]{2})_\w+")  # some names end with _ex
EXAMPLE = "0000/0000_045_12_0303morning_0006_2.jpg 0"


def _open(name: str, other: str, params: MsmtParams, root: Path, cache: Path) -> Dataset:
    root = place(root, cache, INSIDE[name])
    _check_layout(name, other, root)
    return finish(_read(root, *FOLDERS[name], params), params, f"{name}:{params.train}")


open_v1 = partial(_open, "msmt17-v1", "msmt17-v2")
open_v2 = partial(_open, "msmt17-v2", "msmt17-v1")


def _check_layout(name: str, other: str, root: Path) -> None:
    """Raise DataError if the folders or lists of this version are missing."""
    train, test = FOLDERS[name]
    if not (root / train).is_dir() and ((root / FOLDERS[other][0]).is_dir() or (root / INSIDE[other]).is_dir()):
        raise DataError(f"{root / train}: no such folder; this is {other}: set use: {other}")
    need_folder(root / train)
    need_folder(root / test)
    gone = [file for file in LISTS if not (root / file).is_file()]
    if gone:
        raise DataError(f"{root}: {', '.join(gone)} missing: the lists come with the release and give the persons")


def _read(root: Path, train: str, test: str, params: MsmtParams) -> Dataset:
    trees = {folder: look_through(root / folder) for folder in (train, test)}
    on_disk = {folder: Present(f"{folder}/{path}" for path in tree.images) for folder, tree in trees.items()}
    lists = {file: _List(root, file, train if file in LISTS[:2] else test, on_disk) for file in LISTS}
    used = [lists["list_train.txt"]] + ([lists["list_val.txt"]] if params.train == "trainval" else [])
    query, gallery = lists["list_query.txt"], lists["list_gallery.txt"]
    absent = {"train": [path for part in used for path in part.absent], "query": query.absent}
    absent["gallery"] = gallery.absent
    strays = {
        part: sorted(on_disk[folder].names.difference(*(part_list.listed for part_list in lists.values())))
        for part, folder in (("train", train), ("gallery", test))
    }
    absent, strays = ({part: files for part, files in found.items() if files} for found in (absent, strays))
    notes = [f"{part}: {len(files)} listed images are missing: {first_names(files)}"
             for part, files in absent.items()]  # fmt: skip
    notes += [f"{part}: {len(files)} files are not in any list: {first_names(files)}" for part, files in strays.items()]
    notes += [note for folder, tree in trees.items() for note in tree.notes(folder)]
    splits = _split(root, *used), _split(root, query), _split(root, gallery)
    left = lists["list_val.txt"] if params.train == "train" else None
    validation = _split(root, left) if left and left.rows else None
    return Dataset("msmt17", root, *splits, tuple(notes), strays=strays, absent=absent, validation=validation)


class _List:
    """Images of one list file, listed images that are missing, and all listed names."""

    def __init__(self, root: Path, file: str, folder: str, on_disk: dict[str, Present]) -> None:
        self.rows: list[tuple[str, int, int]] = []
        self.absent: list[str] = []
        self.listed: set[str] = set()
        first = 1 if file in LISTS[:2] else 1 + TRAIN_PERSONS
        for number, line in enumerate(read_lines(root / file, "list of images"), start=1):
            if not line.strip():
                continue
            name, _, label = line.strip().rpartition(" ")
            labels, person = RULE.read(name.rpartition("/")[2]), whole_number(label)
            if labels is None or person is None or person < 0:
                raise DataError(f"{root / file}:{number}: {shown(line.strip())!r} is not a line like {EXAMPLE!r}")
            if first == 1 and person >= TRAIN_PERSONS:  # otherwise it would be a test person
                last = TRAIN_PERSONS - 1
                raise DataError(f"{root / file}:{number}: person {person} is outside the train persons 0 to {last}")
            path = on_disk[folder].find(f"{folder}/{name}")
            if path is not None:
                self.listed.add(path)
                self.rows.append((path, person + first, labels[1]))
            else:
                self.absent.append(f"{folder}/{name}")


def _split(root: Path, *lists: _List) -> Split:
    rows = [row for part in lists for row in part.rows]
    if not rows:
        raise DataError(f"{root}: all listed images are missing")
    return sorted_split(root, rows)


def _fingerprint(name: str, other: str, params: MsmtParams, root: Path) -> str:
    """Return names and contents of the images, and the lists. Raises DataError if they are missing."""
    check = partial(_check_layout, name, other)
    return fingerprint_parts(params, root, *FOLDERS[name], files=LISTS, inside=(INSIDE[name],), check=check)


fingerprint_v1 = partial(_fingerprint, "msmt17-v1", "msmt17-v2")
fingerprint_v2 = partial(_fingerprint, "msmt17-v2", "msmt17-v1")
