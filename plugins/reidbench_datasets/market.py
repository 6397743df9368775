"""Market-1501 and folders in its layout.

A further data set of this kind is three lines: a FileNameRule, the names of its folders, and a Component.
"""

from __future__ import annotations

from pathlib import Path

from reidbench.data import Dataset, FileNameRule, fingerprint_folder, read_market_folder
from reidbench.errors import DataError

from . import FolderParams

# Zheng et al., ICCV 2015: -1 junk, 0000 distractors, cameras 1 to 6; session, frame and box as released.
MARKET1501 = FileNameRule(r"(?P<pid>-1|\d{4})_c(?P<cam>[1-6])s\d_\d{6}_\d{2}\.jpg(\.jpg)?")


def open_market1501(params: FolderParams, root: Path, cache: Path) -> Dataset:
    """Read the release as it is unpacked."""
    return _checked(read_market_folder(root, name="market1501", rule=MARKET1501), params)


def open_folder(params: FolderParams, root: Path, cache: Path) -> Dataset:
    """Read any folder in the layout."""
    return _checked(read_market_folder(root), params)


def _checked(dataset: Dataset, params: FolderParams) -> Dataset:
    if params.strict and dataset.notes:
        raise DataError(f"{dataset.root}: {dataset.notes[0]}")
    return dataset


def fingerprint(params: FolderParams, root: Path) -> str:
    """Names and sizes of the three folders; whatever else lies beside them is no part of the data."""
    parts = ("bounding_box_train", "query", "bounding_box_test")
    return " ".join(fingerprint_folder(root / part) for part in parts if (root / part).is_dir())
