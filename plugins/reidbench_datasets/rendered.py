"""Rendered persons: PersonX (Sun and Zheng, CVPR 2019), RandPerson and ClonedPerson (Wang et al., 2020, 2022).

Cameras are numbered within a scene. Cameras of different scenes must never become one camera, or the camera rule
removes true matches; each reader's rule has a comment on this.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from reidbench.data import Dataset, FileNameRule, Split, look_through, need_folder, read_market_folder
from reidbench.data.layouts.folders import LARGEST, UNMATCHED
from reidbench.data.walk import hidden_notes, is_picture, list_names, stray_notes, why_no_picture
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, need_picture, place, sorted_split
from .params import CheckedParams, ClonedPersonParams

# The six cameras of the ViSDA-2020 subset keep their numbers among PersonX's cameras.
PERSONX = FileNameRule(r"(?P<pid>[0-9]+)_c(?P<cam>[0-9]+)(s[0-9]+)?_\w+", cameras=(3, 4, 8, 10, 11, 12))
# 000000_s00_c00_f000264.jpg; RandPerson's README has camera and scene in the other order, so both are read.
SCENE_NAME = re.compile(
    r"(?P<pid>[0-9]+)(?=\w*_s(?P<scene>[0-9]{2})_)(?=\w*_c(?P<cam>[0-9]{2})_)_[sc][0-9]{2}_[sc][0-9]{2}_f[0-9]+"
)
# Number of cameras before each scene of RandPerson, after its authors' loader: cameras are 0 to 18.
RANDPERSON_OFFSETS = (0, 2, 4, 6, 8, 9, 10, 12, 13, 14, 15)
OFFICIAL_SCENE = 2  # ClonedPerson's own loader assigns every image to this scene
CLONED_FOLDERS = {"train": "train", "query": "test/query", "gallery": "test/gallery"}
Place = tuple[int, int]  # scene, camera in the scene


def open_personx(params: CheckedParams, root: Path, cache: Path) -> Dataset:
    """Read the Market-style subset of the ViSDA-2020 challenge."""
    root = place(root, cache)
    if not (root / "bounding_box_train").is_dir() and len(list(root.glob("*/[0-9]*"))) > 0:
        raise DataError(f"{root}: no bounding_box_train; folders by background are PersonX_v1, which is not supported")
    return finish(read_market_folder(root, rule=PERSONX), params, "personx")


def open_randperson(params: CheckedParams, root: Path, cache: Path) -> Dataset:
    """Read the flat folder randperson_subset; the authors' offsets turn scene and number into a camera."""
    root = place(root, cache, "randperson_subset")
    names = list_names(root)
    seen = {labels[1] for labels in map(_labels, names) if labels}
    beyond = sorted(scene for scene, _ in seen if scene >= len(RANDPERSON_OFFSETS))
    if beyond:
        raise DataError(f"{root}: scene {beyond[0]} is not one of the {len(RANDPERSON_OFFSETS)} scenes of the subset")
    numbers = {spot: RANDPERSON_OFFSETS[spot[0]] + spot[1] for spot in seen}
    if len(set(numbers.values())) < len(numbers):
        raise DataError(f"{root}: the offsets of the subset would merge two cameras")
    train, strays = _read(root, names, numbers.__getitem__)
    dataset = _dataset("randperson", root, {"train": train}, {"train": strays}, hidden_notes("train", root))
    return finish(dataset, params, "randperson")


def open_clonedperson(params: ClonedPersonParams, root: Path, cache: Path) -> Dataset:
    """Read train, test/query and test/gallery.

    A camera is a scene and a number in it, counted over the whole copy; `camera_rule: official` numbers cameras as the
    authors' loader does, which merges all scenes, for comparison with their numbers.
    """
    root = place(root, cache)
    _need_cloned(root)
    trees = {part: look_through(root / folder) for part, folder in CLONED_FOLDERS.items()}
    names = {part: [f"{CLONED_FOLDERS[part]}/{path}" for path in tree.images] for part, tree in trees.items()}
    seen = sorted({labels[1] for files in names.values() for labels in map(_labels, files) if labels})
    ranks = {spot: rank for rank, spot in enumerate(seen)}
    numbering = ranks.__getitem__ if params.camera_rule == "scene" else _official_camera
    read = {part: _read(root, files, numbering) for part, files in names.items()}
    splits = {part: split for part, (split, _) in read.items()}
    strays = {part: left_out for part, (_, left_out) in read.items()}
    notes = [note for part, tree in trees.items() for note in tree.notes(CLONED_FOLDERS[part])]
    return finish(_dataset("clonedperson", root, splits, strays, notes), params, "clonedperson")


def _need_cloned(root: Path) -> None:
    for folder in CLONED_FOLDERS.values():
        need_folder(root / folder)


def _official_camera(spot: Place) -> int:
    return RANDPERSON_OFFSETS[OFFICIAL_SCENE] + spot[1]


def _labels(path: str) -> tuple[int, Place] | None:
    """Return (pid, scene and camera) from a file's name; persons count from 0 there, and 0 is a distractor here."""
    name = path.rpartition("/")[2]
    match = SCENE_NAME.fullmatch(name.rpartition(".")[0]) if is_picture(name) else None
    if match is None or int(match["pid"]) >= LARGEST:
        return None
    return int(match["pid"]) + 1, (int(match["scene"]), int(match["cam"]))


def _read(root: Path, names: list[str], numbering: Callable[[Place], int]) -> tuple[Split, list[str]]:
    """Return (the images whose names have person and camera, the other names)."""
    read = {name: _labels(name) for name in names}
    rows = [(name, labels[0], numbering(labels[1])) for name, labels in read.items() if labels is not None]
    if not rows:
        raise DataError(f"{root}: no image with a name like 000000_s00_c00_f000000.jpg among {len(names)} files")
    return sorted_split(root, rows), [name for name, labels in read.items() if labels is None]


def _dataset(
    name: str, root: Path, splits: dict[str, Split], strays: dict[str, list[str]], notes: list[str]
) -> Dataset:
    strays = {part: files for part, files in strays.items() if files}
    left_out = [note for part, files in strays.items() for note in stray_notes(part, files, _why_not)]
    notes = left_out + notes
    return Dataset(name, root, splits["train"], splits.get("query"), splits.get("gallery"), tuple(notes), strays=strays)


def _why_not(name: str) -> str:
    return UNMATCHED if is_picture(name) else why_no_picture(name)


def fingerprint_randperson(params: CheckedParams, root: Path) -> str:
    """Return names and contents of the flat folder."""
    return fingerprint_parts(params, root, inside=("randperson_subset",), check=need_picture)


def fingerprint_clonedperson(params: ClonedPersonParams, root: Path) -> str:
    """Return names and contents of train and test."""
    return fingerprint_parts(params, root, files=("train", "test"), check=_need_cloned)
