"""Partial-REID (Zheng et al., ICCV 2015), Partial-iLIDS and Occluded-REID (Zhuo et al., ICME 2018): for tests only.

Queries show a part of a person, the gallery whole persons. Nothing tells the camera: the second number of a name counts
the pictures of a person. Other loaders call it a camera, and lose true matches of the same number; here the camera is
unknown, so that no match is lost.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidbench import Params
from reidbench.data import UNKNOWN_CAMERA, Dataset, Split, walk_images
from reidbench.data.folders import stray_note
from reidbench.errors import DataError

from .common import fingerprint_parts, place

NAME = re.compile(r"(?P<pid>\d+)_\w+\.(jpg|jpeg|png|bmp|tif|tiff)", re.IGNORECASE)
# Names of the folders of query and gallery, as they are in different copies.
LAYOUTS = (
    ("query", "gallery"),
    ("partial_body_images", "whole_body_images"),
    ("occluded_body_images", "whole_body_images"),
)
INSIDE = {
    "partial-reid": ("Partial_REID", "Partial-REID_Dataset"),
    "partial-ilids": ("Partial_iLIDS", "PartialiLIDS"),
    "occluded-reid": ("Occluded_REID", "OccludedREID"),
}


def open_partial_reid(params: Params, root: Path, cache: Path) -> Dataset:
    """Read Partial-REID."""
    return _open("partial-reid", root, cache)


def open_partial_ilids(params: Params, root: Path, cache: Path) -> Dataset:
    """Read Partial-iLIDS."""
    return _open("partial-ilids", root, cache)


def open_occluded_reid(params: Params, root: Path, cache: Path) -> Dataset:
    """Read Occluded-REID."""
    return _open("occluded-reid", root, cache)


def _open(name: str, root: Path, cache: Path) -> Dataset:
    root = place(root, cache, *INSIDE[name])
    layout = next((pair for pair in LAYOUTS if all((root / folder).is_dir() for folder in pair)), None)
    if layout is None:
        pairs = " or ".join("/ and ".join(pair) + "/" for pair in LAYOUTS)
        raise DataError(f"{root}: neither {pairs}")
    (query, query_strays), (gallery, gallery_strays) = (_read(root, folder) for folder in layout)
    found = {"query": query_strays, "gallery": gallery_strays}
    strays = {part: files for part, files in found.items() if files}
    notes = tuple(stray_note(part, files) for part, files in strays.items())
    return Dataset(name, root, Split(root, ()), query, gallery, notes, strays=strays)


def _read(root: Path, folder: str) -> tuple[Split, list[str]]:
    """Persons may be numbered from 0 or 1; they are shifted by one, since 0 would mean a distractor."""
    paths, pids, strays = [], [], []
    for path in walk_images(root / folder):
        match = NAME.fullmatch(path.rpartition("/")[2])
        if match is None:
            strays.append(f"{folder}/{path}")
        else:
            paths.append(f"{folder}/{path}")
            pids.append(int(match["pid"]) + 1)
    if not paths:
        raise DataError(f"{root / folder}: no image with a name like 001_001.jpg")
    return Split.of_columns(root, paths, pids, [UNKNOWN_CAMERA] * len(paths)), strays


def fingerprint(params: Params, root: Path) -> str:
    """Names and contents of all files."""
    return fingerprint_parts(params, root)
