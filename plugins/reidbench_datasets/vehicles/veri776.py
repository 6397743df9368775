"""VeRi-776 (Liu et al., ICME and ECCV 2016): 776 vehicles, twenty cameras.

image_test contains the images of image_query too, as in the release: no query is compared with its own image, and the
camera rule drops its vehicle under its camera. These are the authors' good and junk images (gt_index and jk_index).
"""

from __future__ import annotations

from pathlib import Path

from reidbench.data import Dataset, FileNameRule, find_overlap, need_folder, read_market_folder

from ..common import fingerprint_parts, finish, place
from ..params import CheckedParams

INSIDE = ("VeRi", "VeRi_with_plate", "VeRi-776")
FOLDERS = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
CAMERAS = tuple(range(1, 21))
RULE = FileNameRule(r"(?P<pid>(?!0000)[0-9]{4})_c(?P<cam>[0-9]{3})_[0-9]{8}_[0-9]+", cameras=CAMERAS, highest_pid=776)
EXAMPLE = "0002_c002_00030600_0.jpg"


def open_veri776(params: CheckedParams, root: Path, cache: Path) -> Dataset:
    """Read the release; colours and types of vehicles (train_label.xml) are not read."""
    root = place(root, cache, *INSIDE)
    _check_layout(root)
    dataset = find_overlap(read_market_folder(root, folders=FOLDERS, rule=RULE, example=EXAMPLE))
    return finish(dataset, params, "veri-776")


def fingerprint(params: CheckedParams, root: Path) -> str:
    """Return names and contents of the three folders. Raises DataError if one is missing."""
    return fingerprint_parts(params, root, *FOLDERS.values(), inside=INSIDE, check=_check_layout)


def _check_layout(root: Path) -> None:
    for folder in FOLDERS.values():
        need_folder(root / folder)
