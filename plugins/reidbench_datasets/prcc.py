"""PRCC (Yang et al., TPAMI 2019): 221 persons, three cameras, two outfits each.

A person wears the same clothes in cameras A and B, and others in C. The gallery is camera A: queries of B have the
same clothes, and queries of C other ones. The evaluator selects queries with `query_cameras`. The contour sketches of
the release are not read.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidbench.data import Dataset, Split, find_overlap, look_through, need_folder
from reidbench.data.layouts.folders import UNMATCHED
from reidbench.data.morelabels import MoreLabels
from reidbench.data.walk import stray_notes
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, place
from .params import PrccParams

INSIDE = ("prcc", "PRCC")
TOP = "rgb"
CAMERAS = "ABC"
OUTFITS = {"A": 0, "B": 0, "C": 1}
TRAIN, VALIDATION = f"{TOP}/train", f"{TOP}/val"
TEST = {camera: f"{TOP}/test/{camera}" for camera in CAMERAS}
# 002/A_cropped_rgb001.jpg if one folder has all cameras, 001/cropped_rgb001.jpg if each camera has a folder.
NAME = re.compile(r"(?P<pid>(?!000)[0-9]{3})/((?P<cam>[ABC])_)?cropped_rgb[0-9]+\.[A-Za-z]+")
Row = tuple[str, int, str]  # path, pid, camera


def open_prcc(params: PrccParams, root: Path, cache: Path) -> Dataset:
    """Read train, val and the test folders of the three cameras; cameras A, B and C are 0, 1 and 2."""
    root = place(root, cache, *INSIDE)
    _check_layout(root)
    reader = _Reader(root)
    train, shipped = reader.read("train", TRAIN), reader.read("validation", VALIDATION)
    gallery = reader.read("gallery", TEST["A"], "A")
    query = [row for camera in "BC" for row in reader.read("query", TEST[camera], camera)]
    both = params.train == "trainval"
    dataset = Dataset(
        "prcc",
        root,
        _split(root, train + shipped if both else train),
        _split(root, query),
        _split(root, gallery),
        tuple(reader.notes),
        strays=reader.strays,
        validation=None if both else _split(root, shipped),
    )
    return finish(find_overlap(dataset), params, f"prcc:{params.train}")


class _Reader:
    """Reads folders below a root, and records what was excluded: notes, and paths by part."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[str] = []
        self.strays: dict[str, list[str]] = {}

    def read(self, part: str, folder: str, camera: str | None = None) -> list[Row]:
        """Return the images of a folder; without `camera`, names begin with it. Raises DataError if there are none."""
        tree = look_through(self.root / folder)
        read = {path: _labels(path, camera) for path in tree.images}
        rows = [(f"{folder}/{path}", *labels) for path, labels in read.items() if labels]
        if not rows:
            example = f"001/{'' if camera else 'A_'}cropped_rgb001.jpg"
            raise DataError(f"{self.root / folder}: no image with a name like {example} among {len(read)} files")
        strays = [f"{folder}/{path}" for path, labels in read.items() if not labels]
        self.notes += stray_notes(folder, strays, lambda _: UNMATCHED) + tree.notes(folder)
        if strays:
            self.strays[part] = self.strays.get(part, []) + strays
        return rows


def _labels(path: str, camera: str | None) -> tuple[int, str] | None:
    """Return (pid, camera) from folder and name, or None if they do not match as a whole."""
    match = NAME.fullmatch(path)
    if match is None or (match["cam"] is None) != (camera is not None):
        return None
    return int(match["pid"]), camera or match["cam"]


def _split(root: Path, rows: list[Row]) -> Split:
    paths, pids, cameras = zip(*sorted(rows), strict=True)
    more = MoreLabels.of(clothes=[OUTFITS[camera] for camera in cameras])
    return Split.of_columns(root, paths, pids, [CAMERAS.index(camera) for camera in cameras], more=more)


def _check_layout(root: Path) -> None:
    for folder in (TOP, TRAIN, VALIDATION, *TEST.values()):
        need_folder(root / folder)


def fingerprint(params: PrccParams, root: Path) -> str:
    """Return names and contents of the folder rgb. Raises DataError if it does not have the layout."""
    return fingerprint_parts(params, root, files=(TOP,), inside=INSIDE, check=_check_layout)
