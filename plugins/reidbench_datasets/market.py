"""Market-1501 and folders in its layout.

Another data set of this kind needs three lines: a FileNameRule, the names of its folders, and a Component.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from reidbench.data import Dataset, FileNameRule, Split, find_overlap, read_folder, read_market_folder
from reidbench.data.layouts.folders import MARKET_FOLDERS, MARKET_LIKE, depth_hint
from reidbench.data.morelabels import MoreLabels
from reidbench.data.split import DISTRACTOR, JUNK
from reidbench.data.walk import first_names, hidden_notes, list_names, stray_notes, walk_images
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, place
from .params import FolderParams, Market1501Params, MarketFolderParams

# Zheng et al., ICCV 2015: -1 junk, 0000 distractors, persons 1 to 1501, cameras 1 to 6; session, frame and box.
MARKET1501 = FileNameRule(r"(?P<pid>-1|[0-9]{4})_c(?P<cam>[1-6])s[0-9]_[0-9]{6}_[0-9]{2}(\.jpg)?", highest_pid=1501)
CAMERAS = 6
NO_CAMERA = FileNameRule(r"(?P<pid>-1|[0-9]+)(_\w+)?")
DISTRACTORS = "images"  # the 500k set, unpacked next to the other folders
BOXES = "gt_bbox"  # hand-drawn boxes, of all persons and cameras


def open_market1501(params: Market1501Params, root: Path, cache: Path) -> Dataset:
    """Read the release, unpacked or as an archive."""
    root = place(root, cache)
    dataset = read_market_folder(root, name="market1501", rule=MARKET1501)
    dataset = _checked(_with_boxes(dataset) if params.queries == "multi" else dataset, params)
    variant = "market1501"
    if params.distractors:
        dataset, variant = _with_distractors(dataset), f"{variant}:500k"
    return finish(dataset, params, variant if params.queries == "single" else f"{variant}:multi-query")


def open_folder(params: FolderParams, root: Path, cache: Path) -> Dataset:
    """Read any folder in the layout; cameras count from 1, or from 0 if a name has c0."""
    camera_free = isinstance(params, MarketFolderParams) and params.cameras == "none"
    rule = NO_CAMERA if camera_free else MARKET_LIKE
    root = place(root, cache)
    try:
        return _checked(read_market_folder(root, rule=rule), params)
    except DataError as error:
        if not camera_free and _without_cameras(root):
            raise DataError(f"{error}; names without a camera, like 0002_1.jpg, need `cameras: none`") from None
        raise DataError(f"{error}{otherwise(root)}") from None


def otherwise(root: Path) -> str:
    """Return the end of an error message for images in a different layout or with other names."""
    meant = depth_hint(root / MARKET_FOLDERS["train"])
    there = not meant and root.is_dir() and next(walk_images(root), None) is not None
    return "; `reidbench data manifest` makes a CSV of images in other folders or with other names" if there else ""


def _without_cameras(root: Path) -> bool:
    """Return whether no name in the three folders has a camera, but some have a person."""
    folders = [root / folder for folder in MARKET_FOLDERS.values() if (root / folder).is_dir()]
    names = [name for folder in folders for name in list_names(folder)]
    return any(map(NO_CAMERA.read, names)) and not any(map(MARKET_LIKE.read, names))


def _with_distractors(dataset: Dataset) -> Dataset:
    """Return the gallery with 500,000 boxes of persons without a query, regardless of the pid in their names."""
    more, strays = read_folder(dataset.root, DISTRACTORS, MARKET_LIKE)
    gallery = dataset.gallery
    assert gallery is not None
    joined = Split.of_columns(
        dataset.root,
        [*gallery.paths, *more.paths],
        np.concatenate([gallery.pids, np.where(more.pids == JUNK, JUNK, DISTRACTOR)]),
        np.concatenate([gallery.camids, more.camids]),
    )
    notes = stray_notes(DISTRACTORS, strays, MARKET_LIKE.why_not) + hidden_notes(
        DISTRACTORS, dataset.root / DISTRACTORS
    )
    return replace(dataset, gallery=joined).with_notes(*notes)


def _with_boxes(dataset: Dataset) -> Dataset:
    """Replace each query by all hand-drawn boxes of its person and camera, as one tracklet (multi-query).

    In the release the query is one of them. As in the usual baseline code (`evaluate_gpu.py` of layumi's
    Person_reID_baseline_pytorch), only these boxes count. A query without a box remains, alone in its tracklet.
    """
    single = dataset.query
    assert single is not None
    boxes, strays = read_folder(dataset.root, BOXES, MARKET1501)
    asked = np.unique(_by_camera(single))
    drawn = np.flatnonzero(np.isin(_by_camera(boxes), asked))
    alone = np.flatnonzero(~np.isin(_by_camera(single), _by_camera(boxes)))
    both = boxes.subset(drawn), single.subset(alone)
    pids, camids = (np.concatenate([getattr(split, name) for split in both]) for name in ("pids", "camids"))
    tracklets = np.searchsorted(asked, pids * CAMERAS + camids)
    query = Split.of_columns(
        dataset.root,
        [path for split in both for path in split.paths],
        pids,
        camids,
        more=MoreLabels.of(tracklets=tracklets),
    )
    notes = [f"queries: multi: {len(drawn)} boxes of {BOXES} for {len(single)} queries, one tracklet per person and "
         "camera: evaluate with multi_query: true"]  # fmt: skip
    if len(alone):
        first = first_names(both[1].paths)
        notes.append(f"query: {len(alone)} images without a box of their person and camera in {BOXES}: {first}")
    notes += hidden_notes(BOXES, dataset.root / BOXES)
    left = [*dataset.strays.get("query", ()), *(f"{BOXES}/{name}" for name in strays)]
    notes_on_strays = stray_notes(BOXES, strays, MARKET1501.why_not)
    return replace(
        dataset,
        query=query,
        strays={**dataset.strays, "query": left} if left else dataset.strays,
        notes=(*notes_on_strays, *dataset.notes, *notes),
    )


def _by_camera(split: Split) -> np.ndarray:
    """Return one number [N] for each person and camera."""
    return split.pids * CAMERAS + split.camids


def _checked(dataset: Dataset, params: FolderParams) -> Dataset:
    if params.strict and dataset.strays:
        raise DataError(f"{dataset.root}: {dataset.notes[0]}")  # notes on strays come first
    return find_overlap(dataset)


def fingerprint_folder(params: FolderParams, root: Path) -> str:
    """Return `fingerprint` for a user's folder; its error messages suggest other layouts."""
    try:
        return fingerprint(params, root)
    except DataError as error:
        raise DataError(f"{error}{otherwise(root)}") from None


def fingerprint(params: FolderParams, root: Path) -> str:
    """Return names and contents of the folders that are read; other files next to them are not part of the data."""
    more = [DISTRACTORS] if getattr(params, "distractors", False) else []
    more += [BOXES] if getattr(params, "queries", "single") == "multi" else []
    return fingerprint_parts(params, root, *MARKET_FOLDERS.values(), *more)
