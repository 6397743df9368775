"""Sets of rendered persons: PersonX (Sun and Zheng, CVPR 2019), RandPerson and ClonedPerson (Wang et al., 2020, 2022).

Their cameras are numbered within a scene. Two scenes' cameras must never become one camera, or the camera rule removes
true matches; what each reader does about it stands at its rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from reidbench.data import Dataset, FileNameRule, Split, read_market_folder
from reidbench.data.folders import MARKET_FOLDERS, list_names, stray_note, walk_images
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, place
from .params import CheckedParams, ClonedPersonParams

# The six cameras of the ViSDA-2020 subset keep the numbers that they have among PersonX's cameras.
PERSONX = FileNameRule(r"(?P<pid>\d+)_c(?P<cam>\d+)(s\d+)?_\w+\.(jpg|png)", cameras=(3, 4, 8, 10, 11, 12))
# 000000_s00_c00_f000264.jpg; RandPerson's README writes camera and scene the other way round, so that both are read.
SCENE_NAME = re.compile(
    r"(?P<pid>\d+)(?=\w*_s(?P<scene>\d{2})_)(?=\w*_c(?P<cam>\d{2})_)_[sc]\d{2}_[sc]\d{2}_f\d+\.(jpg|png)"
)
# The number of cameras before each scene of RandPerson, after its authors' loader: cameras are 0 to 18.
RANDPERSON_OFFSETS = (0, 2, 4, 6, 8, 9, 10, 12, 13, 14, 15)
OFFICIAL_SCENE = 2  # ClonedPerson's own loader takes every picture for one of this scene
Place = tuple[int, int]  # scene, camera in it


def open_personx(params: CheckedParams, root: Path, cache: Path) -> Dataset:
    """Read the Market-style subset of the ViSDA-2020 challenge."""
    root = place(root, cache)
    if not (root / "bounding_box_train").is_dir() and len(list(root.glob("*/[0-9]*"))) > 0:
        raise DataError(f"{root}: no bounding_box_train; folders by background are PersonX_v1, another set")
    return finish(read_market_folder(root, rule=PERSONX), params, "personx")


def open_randperson(params: CheckedParams, root: Path, cache: Path) -> Dataset:
    """Read the flat folder randperson_subset; a camera is what its authors' offsets make of scene and number."""
    root = place(root, cache, "randperson_subset")
    names = list_names(root)
    seen = {(int(m["scene"]), int(m["cam"])) for m in map(SCENE_NAME.fullmatch, names) if m}
    beyond = sorted(scene for scene, _ in seen if scene >= len(RANDPERSON_OFFSETS))
    if beyond:
        raise DataError(f"{root}: scene {beyond[0]} is none of the {len(RANDPERSON_OFFSETS)} of the subset")
    numbers = {spot: RANDPERSON_OFFSETS[spot[0]] + spot[1] for spot in seen}
    if len(set(numbers.values())) < len(numbers):
        raise DataError(f"{root}: two cameras would become one by the offsets of the subset")
    train, strays = _read(root, names, numbers.__getitem__)
    return finish(_dataset("randperson", root, {"train": train}, {"train": strays}), params, "randperson")


def open_clonedperson(params: ClonedPersonParams, root: Path, cache: Path) -> Dataset:
    """Read train, test/query and test/gallery.

    A camera is a scene and a number in it, counted over the whole copy; `camera_rule: official` numbers them as the
    authors' loader does, where all scenes collapse into one, to compare with numbers computed so.
    """
    root = place(root, cache)
    folders = {"train": "train", "query": "test/query", "gallery": "test/gallery"}
    for folder in folders.values():
        if not (root / folder).is_dir():
            raise DataError(f"{root / folder}: no such folder")
    names = {part: [f"{folder}/{path}" for path in walk_images(root / folder)] for part, folder in folders.items()}
    matches = (SCENE_NAME.fullmatch(name.rpartition("/")[2]) for files in names.values() for name in files)
    seen = sorted({(int(match["scene"]), int(match["cam"])) for match in matches if match})
    ranks = {spot: rank for rank, spot in enumerate(seen)}
    numbering = ranks.__getitem__ if params.camera_rule == "scene" else _official_camera
    read = {part: _read(root, files, numbering) for part, files in names.items()}
    splits = {part: split for part, (split, _) in read.items()}
    strays = {part: left_out for part, (_, left_out) in read.items()}
    return finish(_dataset("clonedperson", root, splits, strays), params, "clonedperson")


def _official_camera(spot: Place) -> int:
    return RANDPERSON_OFFSETS[OFFICIAL_SCENE] + spot[1]


def _read(root: Path, names: list[str], numbering: Callable[[Place], int]) -> tuple[Split, list[str]]:
    """Persons are numbered from 0 in the names; 0 means a distractor here, so that they are shifted by one."""
    rows, strays = [], []
    for name in names:
        match = SCENE_NAME.fullmatch(name.rpartition("/")[2])
        if match is None:
            strays.append(name)
        else:
            rows.append((name, int(match["pid"]) + 1, numbering((int(match["scene"]), int(match["cam"])))))
    if not rows:
        raise DataError(f"{root}: no image with a name like 000000_s00_c00_f000000.jpg among {len(names)} files")
    paths, pids, camids = zip(*sorted(rows), strict=True)
    return Split.of_columns(root, paths, pids, camids), strays


def _dataset(name: str, root: Path, splits: dict[str, Split], strays: dict[str, list[str]]) -> Dataset:
    strays = {part: files for part, files in strays.items() if files}
    notes = tuple(stray_note(part, files) for part, files in strays.items())
    return Dataset(name, root, splits["train"], splits.get("query"), splits.get("gallery"), notes, strays=strays)


def fingerprint_personx(params: CheckedParams, root: Path) -> str:
    """Names and contents of the three folders."""
    return fingerprint_parts(params, root, *MARKET_FOLDERS.values())


def fingerprint_randperson(params: CheckedParams, root: Path) -> str:
    """Names and contents of the flat folder."""
    return fingerprint_parts(params, root, inside=("randperson_subset",))


def fingerprint_clonedperson(params: ClonedPersonParams, root: Path) -> str:
    """Names and contents of train and test."""
    return fingerprint_parts(params, root, "train", "test")
