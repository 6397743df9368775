"""CUHK03: the 767/700 protocol (Zhong et al., CVPR 2017) and the classic one of 20 splits (Li et al., CVPR 2014).

cuhk-03.mat is an HDF5 file with images as arrays. This module reads the output of the usual tools:
images_detected/ and images_labeled/ with names pair_person_view_number.png.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np

from reidbench.data import Dataset, FileNameRule, Split, read_market_folder, settle_people
from reidbench.data.layouts.folders import MARKET_FOLDERS, depth_hint
from reidbench.data.walk import Present, first_names, hidden_notes, list_names, stray_notes
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number
from reidbench.files.text import read_lines, read_text
from reidbench.scoring import matfile

from .common import fingerprint_parts, finish, place, sorted_split
from .params import CuhkClassicParams, CuhkParams

CONFIG = "cuhk03_new_protocol_config_{}.mat"
CLASSIC = "splits_classic_{}.json"
TESTSETS = "testsets.csv"
PAIR = re.compile(r"([1-5])_([0-9]{3})_([12])_[0-9]{2}\..+")
RULE = FileNameRule(r"[1-5]_(?P<pid>[0-9]{3})_(?P<cam>[12])_[0-9]{2}")
MARKET_STYLE = FileNameRule(r"(?P<pid>[0-9]{4})_c(?P<cam>[12])(s[0-9]+)?_\w+")
CLASSIC_NOTE = "classic protocol: evaluate with gallery: single-shot, and report the mean of all 20 splits"


def open_np(params: CuhkParams, root: Path, cache: Path) -> Dataset:
    """Read CUHK03-NP, from the images and the authors' .mat of indices or from its Market-style release."""
    root = place(root, cache)
    market = _market_style(root, params.boxes)
    if market is not None:
        dataset = read_market_folder(market, rule=MARKET_STYLE)
    else:
        dataset = _read_config(root, params.boxes)
    return finish(dataset, params, f"cuhk03-np:{params.boxes}")


def _market_style(root: Path, boxes: str) -> Path | None:
    """Return the folder of the Market-style release of these boxes, or None; both layouts may exist."""
    return next((root / part for part in (boxes, ".") if (root / part / "bounding_box_train").is_dir()), None)


def _check_config(root: Path, boxes: str) -> Path:
    """Return the authors' .mat of indices. Raises DataError if it or the images of these boxes are missing."""
    config = root / CONFIG.format(boxes)
    _need_pictures(root, boxes)
    if not config.is_file():
        raise DataError(f"{config}: no such file; it comes with the protocol and defines train, query and gallery")
    return config


def _read_config(root: Path, boxes: str) -> Dataset:
    folder, config = f"images_{boxes}", _check_config(root, boxes)
    try:
        rows = matfile.load(config)
        names = [str(np.ravel(cell)[0]) for cell in rows["filelist"].ravel()]
        labels = _whole(rows["labels"], 0)
        index = {part: _whole(rows[f"{part}_idx"], 1, min(len(names), len(labels))) - 1 for part in MARKET_FOLDERS}
    except (KeyError, ValueError, NotImplementedError, TypeError) as error:
        raise DataError(f"{config}: not a configuration of the new protocol: {error}") from None
    there = Present(list_names(root / folder))
    files = [there.find(name) for name in names]
    parts: dict[str, Split] = {}
    absent: dict[str, list[str]] = {}
    for part, chosen in index.items():
        found = [(f"{folder}/{files[i]}", int(labels[i]), _view(config, names[i])) for i in chosen if files[i]]
        parts[part] = sorted_split(root, found)
        absent[part] = [f"{folder}/{names[i]}" for i in chosen if not files[i]]
    strays = sorted(f"{folder}/{name}" for name in there.names.difference(filter(None, files)))
    notes = [f"{part}: {len(gone)} listed images are missing: {first_names(gone)}"
             for part, gone in absent.items() if gone]  # fmt: skip
    notes += stray_notes(folder, strays, lambda _: "not in the list") + hidden_notes(folder, root / folder)
    dataset = Dataset(
        "cuhk03-np", root, parts["train"], parts["query"], parts["gallery"], tuple(notes),
        strays={"train": strays} if strays else {},
        absent={part: gone for part, gone in absent.items() if gone},
    )  # fmt: skip
    return settle_people(dataset)


def _whole(values: np.ndarray, least: int, most: int | None = None) -> np.ndarray:
    """Return numbers of a .mat file, which may be stored as floats, as int64. Raises ValueError for others."""
    numbers = np.asarray(values).ravel()
    whole = numbers.astype(np.int64)
    if (whole != numbers).any() or whole.min(initial=least) < least or (most and whole.max(initial=0) > most):
        raise ValueError(f"numbers must be whole, from {least} to {most or 'any'}")
    return whole


def _view(config: Path, name: str) -> int:
    labels = RULE.read(name)
    if labels is None:
        raise DataError(f"{config}: {name!r} is not a name like 1_001_1_01.png")
    return labels[1]


def open_classic(params: CuhkClassicParams, root: Path, cache: Path) -> Dataset:
    """Read one of the 20 classic splits: query and gallery both contain all images of its 100 test persons.

    The test persons are in `testsets.csv` (a line `split,pair,person` each, split from 0, as in `testsets` of
    cuhk-03.mat) or in torchreid's `splits_classic_*.json`; only the file names of its absolute paths are read.
    """
    root = place(root, cache)
    folder = f"images_{params.boxes}"
    _need_pictures(root, params.boxes)
    names = list_names(root / folder)
    tested = _test_persons(root, params)
    rows = [(f"{folder}/{name}", *_pair_person(name)) for name in names if RULE.read(name)]
    strays = [f"{folder}/{name}" for name in names if not RULE.read(name)]
    unknown = sorted(tested - {pid for _, pid, _ in rows})
    if unknown:
        raise DataError(f"{root / folder}: no image of {len(unknown)} test persons of split {params.split}")
    test = sorted_split(root, [row for row in rows if row[1] in tested])
    train = sorted_split(root, [row for row in rows if row[1] not in tested])
    more = {"train": strays} if strays else {}
    notes = stray_notes("train", strays, RULE.why_not) + hidden_notes("train", root / folder)
    dataset = Dataset("cuhk03-classic", root, train, test, test, (CLASSIC_NOTE, *notes), strays=more)
    return finish(dataset, params, "cuhk03-classic")


def _pair_person(name: str) -> tuple[int, int]:
    """Return (pid, camid): persons are numbered within one of five pairs of cameras. Raises ValueError."""
    match = PAIR.fullmatch(name)
    if match is None:
        raise ValueError(f"{shown(name)} is not a name like 1_001_1_01.png")
    pair, person, view = map(int, match.groups())
    return _pid(pair, person), 2 * (pair - 1) + view - 1


def _pid(pair: int, person: int) -> int:
    return pair * 10000 + person


def _test_persons(root: Path, params: CuhkClassicParams) -> set[int]:
    table, splits = root / TESTSETS, root / CLASSIC.format(params.boxes)
    if table.is_file():
        persons = _table_persons(table, params.split)
    elif splits.is_file():
        persons = _listed_persons(splits, params.split)
    else:
        raise DataError(f"{root}: {TESTSETS} and {splits.name}, which list the test persons, are both missing")
    if not persons:
        raise DataError(f"{root}: the list has no test person of split {params.split}")
    return persons


def _table_persons(table: Path, split: int) -> set[int]:
    """Return the persons in lines `split,pair,person`, with or without a header."""
    persons = set()
    for number, line in enumerate(read_lines(table, "CSV text file"), start=1):
        cells = [whole_number(cell) for cell in line.split(",")]
        if not line.strip() or (number == 1 and not any(cell is not None for cell in cells)):
            continue
        if len(cells) != 3 or None in cells:
            raise DataError(f"{table}:{number}: {shown(line)!r} is not split,pair,person in whole numbers, like 0,1,42")
        of_split, pair, person = (cell for cell in cells if cell is not None)
        if of_split == split:
            persons.add(_pid(pair, person))
    return persons


def _listed_persons(splits: Path, split: int) -> set[int]:
    """Return the persons of torchreid's list; only the file names of its absolute paths are read."""
    try:
        images = json.loads(read_text(splits))[split]["query"]
        return {_pair_person(str(path).replace("\\", "/").rpartition("/")[2])[0] for path, *_ in images}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{splits}: cannot read the list of test persons: {error}") from None


def _need_pictures(root: Path, boxes: str) -> None:
    """Raise DataError if the images of these boxes are missing."""
    folder = root / f"images_{boxes}"
    if folder.is_dir():
        return
    other = next(iter({"detected", "labeled"} - {boxes}))
    if any((root / place).is_dir() for place in (f"images_{other}", f"{other}/bounding_box_train")):
        raise DataError(f"{folder}: no such folder; the copy has the {other} boxes: set boxes: {other}")
    packed = " (unpack cuhk-03.mat into it first)" if list(root.rglob("cuhk-03.mat")) else ""
    raise DataError(f"{folder}: no such folder{packed or depth_hint(folder)}")


def fingerprint_np(params: CuhkParams, root: Path) -> str:
    """Return names and contents of the images of these boxes, and the configuration.

    Raises DataError if both the images with their configuration and the Market-style release are missing."""

    def check(root: Path) -> None:
        if _market_style(root, params.boxes) is None:
            _check_config(root, params.boxes)

    parts = (f"images_{params.boxes}", CONFIG.format(params.boxes), params.boxes, *MARKET_FOLDERS.values())
    return fingerprint_parts(params, root, files=parts, check=check)


def fingerprint_classic(params: CuhkClassicParams, root: Path) -> str:
    """Return names and contents of the images of these boxes, and the test persons.

    Raises DataError if they are missing."""
    files = f"images_{params.boxes}", CLASSIC.format(params.boxes), TESTSETS
    return fingerprint_parts(params, root, files=files, check=partial(_need_pictures, boxes=params.boxes))
