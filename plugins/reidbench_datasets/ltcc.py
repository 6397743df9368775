"""LTCC (Qian et al., ACCV 2020): 152 persons, twelve cameras, 478 outfits; 91 persons change clothes.

094_1_c9_015833.png is person 94 in the first outfit in camera 9. Person numbers start at 0, which is a valid person:
here they are 1 to 152.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from reidbench.data import Dataset, FileNameRule, Split, find_overlap, need_folder, read_market_folder
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number
from reidbench.files.text import read_lines

from .common import fingerprint_parts, finish, place
from .params import LtccParams

INSIDE = ("LTCC_ReID", "LTCC")
FOLDERS = {"train": "train", "query": "query", "gallery": "test"}
LISTS = {"train": "info/cloth-change_id_train.txt", "test": "info/cloth-change_id_test.txt"}
SHIFT, LAST = 1, 151
RULE = FileNameRule(
    r"(?P<pid>[0-9]{3})_(?P<clothes>[1-9][0-9]?)_c(?P<cam>[1-9]|1[0-2])_[0-9]+", highest_pid=LAST, shift=SHIFT
)
EXAMPLE = "094_1_c9_015833.png"


def open_ltcc(params: LtccParams, root: Path, cache: Path) -> Dataset:
    """Read train, query and test; with `persons: cloth-changing` only the persons in the release's lists."""
    root = place(root, cache, *INSIDE)
    _check_layout(params, root)
    dataset = find_overlap(read_market_folder(root, folders=FOLDERS, rule=RULE, example=EXAMPLE))
    if params.persons == "cloth-changing":
        dataset = _of_changers(dataset, {part: _listed(root / file) for part, file in LISTS.items()})
    return finish(dataset, params, f"ltcc:{params.persons}")


def _of_changers(dataset: Dataset, changers: dict[str, list[int]]) -> Dataset:
    """Return the data set without the persons who are not listed; listed persons without an image are noted."""
    assert dataset.query is not None
    assert dataset.gallery is not None
    train = _only(dataset.train, changers["train"])
    query, gallery = _only(dataset.query, changers["test"]), _only(dataset.gallery, changers["test"])
    seen = {"train": set(train.pids.tolist()), "test": {*query.pids.tolist(), *gallery.pids.tolist()}}
    notes = [
        f"{LISTS[part]}: {len(gone)} listed persons have no image in {part}: {', '.join(map(str, gone))}"
        for part, pids in changers.items()
        if (gone := sorted(pid - SHIFT for pid in set(pids) - seen[part]))
    ]
    return replace(dataset, train=train, query=query, gallery=gallery).with_notes(*notes)


def _only(split: Split, pids: list[int]) -> Split:
    rows = np.flatnonzero(np.isin(split.pids, pids))
    if not len(rows):
        raise DataError(f"{split.root}: no image of the persons in {' and '.join(LISTS.values())}")
    return split.subset(rows)


def _listed(file: Path) -> list[int]:
    """Return the pids of a list of persons, one per line. Raises DataError for other content."""
    pids = []
    for number, line in enumerate(read_lines(file, "list of persons"), start=1):
        if not line.strip():
            continue
        person = whole_number(line.strip())
        if person is None or not 0 <= person <= LAST:
            raise DataError(f"{file}:{number}: {shown(line.strip())!r} is not a person's number, from 0 to {LAST}")
        pids.append(person + SHIFT)
    if not pids:
        raise DataError(f"{file}: the list of persons is empty")
    return pids


def _check_layout(params: LtccParams, root: Path) -> None:
    for folder in FOLDERS.values():
        need_folder(root / folder)
    for file in LISTS.values() if params.persons == "cloth-changing" else ():
        if not (root / file).is_file():
            raise DataError(
                f"{root / file}: no such file; it comes with the release and lists the persons who change clothes; "
                "persons: all needs no list"
            )


def fingerprint(params: LtccParams, root: Path) -> str:
    """Return names and contents of the three folders, and of the lists if they are read.

    Raises DataError if one is missing."""
    lists = tuple(LISTS.values()) if params.persons == "cloth-changing" else ()

    def check(root: Path) -> None:
        _check_layout(params, root)

    return fingerprint_parts(params, root, *FOLDERS.values(), files=lists, inside=INSIDE, check=check)
