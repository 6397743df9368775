"""VERI-Wild (Lou et al., CVPR 2019): 40,671 vehicles, 174 cameras, three tests.

images/ has a folder for each vehicle. A line of a list is VEHICLE/IMAGE.jpg; the lists of later downloads
(train_list_start0.txt, test_3000_id.txt) add a label and a camera, which are not read: the folder is the vehicle in all
parts, and vehicle_info.txt gives the camera.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from reidbench.data import UNKNOWN_CAMERA, Dataset, find_overlap, look_through, need_folder
from reidbench.data.walk import Present, stray_notes, without_ending
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.text import read_lines

from ..common import fingerprint_parts, finish, place
from .lists import Listed, Row, dataset_of, need_lists, read_list
from .params import VeriWildParams

INSIDE = ("VERI-Wild", "VeRi-Wild")
IMAGES = "images"
INFO = "train_test_split/vehicle_info.txt"
IMAGE = re.compile(r"[0-9]{1,9}/[0-9]+")
LINE = re.compile(r"(?P<image>(?P<vehicle>[0-9]{1,9})/[0-9]+)\.jpg(\s+[0-9]+\s+[0-9]+)?")
INFO_LINE = re.compile(r"(?P<image>[0-9]{1,9}/[0-9]+);(?P<camera>[0-9]{1,9})(;.*)?")
EXAMPLE = "00001/000001.jpg"
INFO_EXAMPLE = "00001/000001;12;..."
UNMATCHED = f"their paths are not like {EXAMPLE}"


def list_files(params: VeriWildParams) -> dict[str, tuple[str, ...]]:
    """Return the possible names of each list, below the root."""
    folder, test = "train_test_split", f"test_{params.test}"
    return {
        "train": (f"{folder}/train_list.txt", f"{folder}/train_list_start0.txt"),
        "query": (f"{folder}/{test}_query.txt", f"{folder}/{test}_id_query.txt"),
        "gallery": (f"{folder}/{test}.txt", f"{folder}/{test}_id.txt"),
        "cameras": (INFO,),
    }


def open_veriwild(params: VeriWildParams, root: Path, cache: Path) -> Dataset:
    """Read the images of the training list and of one test."""
    root = place(root, cache, *INSIDE)
    _check_layout(params, root)
    files = need_lists(root, list_files(params))
    tree = look_through(root / IMAGES)
    present = Present(f"{IMAGES}/{path}" for path in tree.images)
    cameras = _cameras(root / INFO)
    lists = {
        part: read_list(root / files[part], partial(_row, cameras), EXAMPLE, present)
        for part in ("train", "query", "gallery")
    }
    _need_cameras(root, lists)
    strays = [path for path in tree.images if not IMAGE.fullmatch(without_ending(path))]
    notes = stray_notes(IMAGES, strays, lambda _: UNMATCHED) + tree.notes(IMAGES)
    dataset = dataset_of("veri-wild", root, lists, [f"{IMAGES}/{path}" for path in strays], notes)
    return finish(find_overlap(dataset), params, f"veri-wild:{params.test}")


def _cameras(file: Path) -> dict[str, int]:
    """Return the camera of each image, from 0. The first line may be a header. Raises DataError for another line."""
    found: dict[str, int] = {}
    for number, line in enumerate(read_lines(file, "list of cameras"), start=1):
        match = INFO_LINE.fullmatch(line.strip())
        if match is not None:
            found[match["image"]] = int(match["camera"])
        elif line.strip() and number > 1:
            raise DataError(f"{shown(file)}:{number}: {shown(line.strip())!r} is not a line like {INFO_EXAMPLE!r}")
    first = min([1, *found.values()])
    return {image: camera - first for image, camera in found.items()}


def _row(cameras: Mapping[str, int], line: str) -> Row | None:
    match = LINE.fullmatch(line)
    if match is None or int(match["vehicle"]) == 0:
        return None
    return f"{IMAGES}/{match['image']}.jpg", int(match["vehicle"]), cameras.get(match["image"], UNKNOWN_CAMERA)


def _need_cameras(root: Path, lists: Mapping[str, Listed]) -> None:
    """Raise DataError if listed images have no camera, since the camera rule would then keep all their matches."""
    gone = [path for found in lists.values() for path, _, camid in found.rows if camid == UNKNOWN_CAMERA]
    if gone:
        raise DataError(
            f"{shown(root / INFO)}: no camera for {len(gone)} listed images, first {shown(gone[0])}; "
            "take the lists and this file from one release"
        )


def fingerprint(params: VeriWildParams, root: Path) -> str:
    """Return names and contents of the images and lists. Raises DataError if they are missing."""
    files = [file for choices in list_files(params).values() for file in choices]
    return fingerprint_parts(params, root, IMAGES, files=files, inside=INSIDE, check=partial(_check_layout, params))


def _check_layout(params: VeriWildParams, root: Path) -> None:
    need_folder(root / IMAGES)
    need_lists(root, list_files(params))
