"""Market-1501 and folders in its layout.

A further data set of this kind is three lines: a FileNameRule, the names of its folders, and a Component.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from reidbench.data import Dataset, FileNameRule, Split, read_folder, read_market_folder
from reidbench.data.folders import MARKET_FOLDERS, MARKET_LIKE, stray_note
from reidbench.data.split import DISTRACTOR, JUNK
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, place
from .params import FolderParams, Market1501Params, MarketFolderParams

# Zheng et al., ICCV 2015: -1 junk, 0000 distractors, persons 1 to 1501, cameras 1 to 6; session, frame and box.
MARKET1501 = FileNameRule(r"(?P<pid>-1|\d{4})_c(?P<cam>[1-6])s\d_\d{6}_\d{2}\.jpg(\.jpg)?", highest_pid=1501)
NO_CAMERA = FileNameRule(r"(?P<pid>-1|\d+)(_\w+)?\.(jpg|jpeg|png|bmp)")
DISTRACTORS = "images"  # the 500k set, unpacked beside the other folders


def open_market1501(params: Market1501Params, root: Path, cache: Path) -> Dataset:
    """Read the release as it is unpacked, or as it is packed."""
    root = place(root, cache)
    dataset = _checked(read_market_folder(root, name="market1501", rule=MARKET1501), params)
    if not params.distractors:
        return finish(dataset, params, "market1501")
    return finish(_with_distractors(dataset), params, "market1501:500k")


def open_folder(params: FolderParams, root: Path, cache: Path) -> Dataset:
    """Read any folder in the layout."""
    camera_free = isinstance(params, MarketFolderParams) and params.cameras == "none"
    rule = NO_CAMERA if camera_free else MARKET_LIKE
    return _checked(read_market_folder(place(root, cache), rule=rule), params)


def _with_distractors(dataset: Dataset) -> Dataset:
    """The gallery with 500,000 boxes of nobody who is asked for, whatever person their names tell."""
    more, strays = read_folder(dataset.root, DISTRACTORS, MARKET_LIKE)
    gallery = dataset.gallery
    assert gallery is not None
    joined = Split.of_columns(
        dataset.root,
        [*gallery.paths, *more.paths],
        np.concatenate([gallery.pids, np.where(more.pids == JUNK, JUNK, DISTRACTOR)]),
        np.concatenate([gallery.camids, more.camids]),
    )
    notes = (stray_note(DISTRACTORS, strays),) if strays else ()
    return replace(dataset, gallery=joined, notes=dataset.notes + notes)


def _checked(dataset: Dataset, params: FolderParams) -> Dataset:
    if params.strict and dataset.notes:
        raise DataError(f"{dataset.root}: {dataset.notes[0]}")
    return dataset


def fingerprint(params: FolderParams, root: Path) -> str:
    """Names and contents of the folders that are read; whatever else lies beside them is no part of the data."""
    more = (DISTRACTORS,) if getattr(params, "distractors", False) else ()
    return fingerprint_parts(params, root, *MARKET_FOLDERS.values(), *more)
