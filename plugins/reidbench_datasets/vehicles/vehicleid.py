"""VehicleID (Liu et al., CVPR 2016): vehicles from the front or the back, cameras unknown.

image/ has all images and train_test_split/ the lists. The protocol draws one image of each test vehicle for the gallery
and queries with all others, ten times. Here query and gallery both have all test images, and the evaluator draws
(`preset: vehicleid`); a drawn image is not compared with itself, so it is not a query of that draw.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from reidbench.data import UNKNOWN_CAMERA, Dataset, find_overlap, need_folder
from reidbench.data.walk import Present, hidden_notes, is_picture, list_names, stray_notes, without_ending
from reidbench.files.numbers import whole_number

from ..common import fingerprint_parts, finish, place
from .lists import Row, dataset_of, need_lists, read_list
from .params import VehicleIdParams

INSIDE = ("VehicleID_V1.0", "VehicleID")
IMAGES = "image"
LINE = re.compile(r"(?P<image>[0-9]+)\s+(?P<vehicle>[0-9]{1,9})")
EXAMPLE = "0000001 22"
UNMATCHED = "their names are not numbers"
NOTE = "protocol of VehicleID: evaluate with preset: vehicleid, which draws the gallery ten times"


def list_files(params: VehicleIdParams) -> dict[str, tuple[str, ...]]:
    """Return the lists of train and test, below the root."""
    folder = "train_test_split"
    return {"train": (f"{folder}/train_list.txt",), "test": (f"{folder}/test_list_{params.test}.txt",)}


def open_vehicleid(params: VehicleIdParams, root: Path, cache: Path) -> Dataset:
    """Read the images of the training list and of one test list; vehicle n is pid n + 1, since 0 means a distractor."""
    root = place(root, cache, *INSIDE)
    _check_layout(params, root)
    names = list_names(root / IMAGES)
    present = Present(f"{IMAGES}/{name}" for name in names)
    files = need_lists(root, list_files(params))
    train, test = (read_list(root / files[part], _row, EXAMPLE, present) for part in ("train", "test"))
    strays = [name for name in names if not is_picture(name) or whole_number(without_ending(name)) is None]
    notes = [NOTE, *stray_notes(IMAGES, strays, lambda _: UNMATCHED), *hidden_notes(IMAGES, root / IMAGES)]
    lists = {"train": train, "query": test, "gallery": test}
    dataset = dataset_of("vehicleid", root, lists, [f"{IMAGES}/{name}" for name in strays], notes)
    return finish(find_overlap(dataset), params, f"vehicleid:{params.test}")


def _row(line: str) -> Row | None:
    match = LINE.fullmatch(line)
    if match is None:
        return None
    return f"{IMAGES}/{match['image']}.jpg", int(match["vehicle"]) + 1, UNKNOWN_CAMERA


def fingerprint(params: VehicleIdParams, root: Path) -> str:
    """Return names and contents of the images and of both lists. Raises DataError if they are missing."""
    files = [file for choices in list_files(params).values() for file in choices]
    return fingerprint_parts(
        params, root, IMAGES, files=files, inside=INSIDE, check=partial(_check_layout, params)
    )  # fmt: skip


def _check_layout(params: VehicleIdParams, root: Path) -> None:
    need_folder(root / IMAGES)
    need_lists(root, list_files(params))
