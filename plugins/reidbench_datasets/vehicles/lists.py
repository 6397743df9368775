"""Lists of images: a line for each image, with its vehicle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from reidbench.data import Dataset
from reidbench.data.walk import Present, first_names
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.text import read_lines

from ..common import sorted_split

Row = tuple[str, int, int]  # path, pid, camid


class Listed(NamedTuple):
    """Images of a list that exist, and listed images that are missing."""

    rows: list[Row]
    absent: list[str]


def read_list(file: Path, read: Callable[[str], Row | None], example: str, present: Present) -> Listed:
    """Read a list; `read` parses a line, or returns None if it cannot.

    Raises DataError for the first such line, for a list without images and for an image that is listed twice.
    """
    rows: list[Row] = []
    absent: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(read_lines(file, "list of images"), start=1):
        if not line.strip():
            continue
        row = read(line.strip())
        if row is None:
            raise DataError(f"{shown(file)}:{number}: {shown(line.strip())!r} is not a line like {example!r}")
        path, pid, camid = row
        if path in seen:
            raise DataError(f"{shown(file)}:{number}: {shown(path)} is in line {seen[path]} too; remove one of them")
        seen[path] = number
        there = present.find(path)
        if there is None:
            absent.append(path)
        else:
            rows.append((there, pid, camid))
    if not seen:
        raise DataError(f"{shown(file)}: contains no image")
    return Listed(rows, absent)


def dataset_of(name: str, root: Path, lists: Mapping[str, Listed], strays: list[str], notes: list[str]) -> Dataset:
    """Return the data set of lists for train, query and gallery; notes and records the missing images.

    Raises DataError if all images of a list are missing.
    """
    for part, found in lists.items():
        if not found.rows:
            first = first_names(found.absent)
            raise DataError(f"{shown(root)}: all {len(found.absent)} listed images of {part} are missing: {first}")
    train, query, gallery = (sorted_split(root, lists[part].rows) for part in ("train", "query", "gallery"))
    absent = {part: found.absent for part, found in lists.items() if found.absent}
    missing = [f"{part}: {len(gone)} listed images are missing: {first_names(gone)}" for part, gone in absent.items()]
    return Dataset(
        name, root, train, query, gallery, (*missing, *notes), absent=absent,
        strays={"train": strays} if strays else {},
    )  # fmt: skip


def need_lists(root: Path, lists: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the first existing file of each part. Raises DataError if a part has none."""
    found = {part: next((file for file in files if (root / file).is_file()), "") for part, files in lists.items()}
    gone = [files[0] for part, files in lists.items() if not found[part]]
    if gone:
        raise DataError(f"{shown(root)}: {', '.join(gone)} missing: the lists come with the release")
    return found
