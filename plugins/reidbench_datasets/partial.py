"""Partial-REID (Zheng et al., ICCV 2015), Partial-iLIDS and Occluded-REID (Zhuo et al., ICME 2018): for tests only.

Queries show a part of a person, the gallery whole persons. The names have no camera: their second number counts the
images of a person. Other loaders read it as a camera, and lose true matches with the same number; here the camera is
unknown, so that no match is lost.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from reidbench import Params
from reidbench.data import Dataset, FileNameRule, Split, look_through
from reidbench.data.layouts.folders import UNMATCHED
from reidbench.data.walk import stray_notes
from reidbench.errors import DataError

from .common import fingerprint_parts, inner, place

RULE = FileNameRule(r"(?P<pid>[0-9]+)_\w+", shift=1)  # numbered from 0 or 1; here 0 would mean a distractor
# Names of the query and gallery folders in different copies.
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


def _open(name: str, params: Params, root: Path, cache: Path) -> Dataset:
    root = place(root, cache, *INSIDE[name])
    splits: dict[str, Split] = {}
    strays: dict[str, list[str]] = {}
    notes: list[str] = []
    for part, folder in zip(("query", "gallery"), _layout(root), strict=True):
        splits[part], strays[part], more = _read(root, folder)
        notes += more
    strays = {part: files for part, files in strays.items() if files}
    return Dataset(name, root, Split(root, ()), splits["query"], splits["gallery"], tuple(notes), strays=strays)


open_partial_reid = partial(_open, "partial-reid")
open_partial_ilids = partial(_open, "partial-ilids")
open_occluded_reid = partial(_open, "occluded-reid")


def _layout(root: Path) -> tuple[str, str]:
    """Return the query and gallery folders. Raises DataError if no layout has both."""
    layout = next((pair for pair in LAYOUTS if all((root / folder).is_dir() for folder in pair)), None)
    if layout is None:
        pairs = " or ".join("/ and ".join(pair) + "/" for pair in LAYOUTS)
        raise DataError(f"{root}: must contain the folders {pairs}")
    return layout


def _check_layout(root: Path) -> None:
    _layout(inner(root, [name for names in INSIDE.values() for name in names]))


def _read(root: Path, folder: str) -> tuple[Split, list[str], list[str]]:
    """Return (the images under a folder, images whose names do not match, notes on all that is excluded)."""
    tree = look_through(root / folder)
    read = {f"{folder}/{path}": RULE.read(path.rpartition("/")[2]) for path in tree.images}
    rows = [(path, *labels) for path, labels in read.items() if labels is not None]
    strays = [path for path, labels in read.items() if labels is None]
    if not rows:
        raise DataError(f"{root / folder}: no image with a name like 001_001.jpg")
    paths, pids, camids = zip(*rows, strict=True)
    notes = stray_notes(folder, strays, lambda _: UNMATCHED) + tree.notes(folder)
    return Split.of_columns(root, paths, pids, camids), strays, notes


def fingerprint(params: Params, root: Path) -> str:
    """Return names and contents of all files. Raises DataError if the two folders are missing."""
    return fingerprint_parts(params, root, check=_check_layout)
