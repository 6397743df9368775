"""CUHK03: the 767/700 protocol (Zhong et al., CVPR 2017) and the classic one of 20 splits (Li et al., CVPR 2014).

cuhk-03.mat itself is an HDF5 file that holds pictures as arrays; what is read here is what the usual tools make of
it: images_detected/ and images_labeled/ with names pair_person_view_number.png.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from reidbench import matfile
from reidbench.data import Dataset, FileNameRule, Split, read_market_folder
from reidbench.data.folders import MARKET_FOLDERS, first_names, list_names
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, place
from .params import CuhkClassicParams, CuhkParams

CONFIG = "cuhk03_new_protocol_config_{}.mat"
CLASSIC = "splits_classic_{}.json"
TESTSETS = "testsets.csv"
RULE = FileNameRule(r"[1-5]_(?P<pid>\d{3})_(?P<cam>[12])_\d{2}\.png")
MARKET_STYLE = FileNameRule(r"(?P<pid>\d{4})_c(?P<cam>[12])(s\d+)?_\w+\.(png|jpg)")
CLASSIC_NOTE = "classic protocol: evaluate with gallery: single-shot, and give the mean of all 20 splits"


def open_np(params: CuhkParams, root: Path, cache: Path) -> Dataset:
    """Read CUHK03-NP, from the pictures and the authors' .mat of indices or from its Market-style release."""
    root = place(root, cache)
    market = next((root / part for part in (params.boxes, ".") if (root / part / "bounding_box_train").is_dir()), None)
    if market is not None:
        dataset = read_market_folder(market, rule=MARKET_STYLE)
    else:
        dataset = _read_config(root, params.boxes)
    return finish(dataset, params, f"cuhk03-np:{params.boxes}")


def _read_config(root: Path, boxes: str) -> Dataset:
    folder, config = f"images_{boxes}", root / CONFIG.format(boxes)
    _pictures(root, folder)
    if not config.is_file():
        raise DataError(f"{config}: no such file; it comes with the protocol and tells train, query and gallery")
    try:
        rows = matfile.load(config)
        names = [str(np.ravel(cell)[0]) for cell in rows["filelist"].ravel()]
        labels = rows["labels"].ravel().astype(int)
        index = {part: rows[f"{part}_idx"].ravel().astype(int) - 1 for part in MARKET_FOLDERS}
    except (KeyError, ValueError, NotImplementedError, TypeError) as error:
        raise DataError(f"{config}: no configuration of the new protocol: {error}") from None
    there = set(list_names(root / folder))
    parts: dict[str, Split] = {}
    absent: dict[str, list[str]] = {}
    for part, chosen in index.items():
        found = [(f"{folder}/{names[i]}", int(labels[i]), _view(config, names[i])) for i in chosen if names[i] in there]
        parts[part] = _split(root, found)
        absent[part] = [f"{folder}/{names[i]}" for i in chosen if names[i] not in there]
    strays = sorted(f"{folder}/{name}" for name in there.difference(names))
    notes = [f"{part}: {len(files)} images of the list are not there: {first_names(files)}"
             for part, files in absent.items() if files]  # fmt: skip
    return Dataset(
        "cuhk03-np", root, parts["train"], parts["query"], parts["gallery"], tuple(notes),
        strays={"train": strays} if strays else {},
        absent={part: files for part, files in absent.items() if files},
    )  # fmt: skip


def _view(config: Path, name: str) -> int:
    labels = RULE.read(name)
    if labels is None:
        raise DataError(f"{config}: {name!r} is no name like 1_001_1_01.png")
    return labels[1]


def open_classic(params: CuhkClassicParams, root: Path, cache: Path) -> Dataset:
    """Read one of the 20 classic splits: query and gallery both hold all pictures of its 100 test persons.

    The test persons stand in `testsets.csv` (a line `split,pair,person` each, split from 0, as in `testsets` of
    cuhk-03.mat) or in torchreid's `splits_classic_*.json`, of whose absolute paths only the names are read.
    """
    root = place(root, cache)
    folder = f"images_{params.boxes}"
    names = _pictures(root, folder)
    tested = _test_persons(root, params)
    rows = [(f"{folder}/{name}", *_pair_person(name)) for name in names if RULE.read(name)]
    strays = [f"{folder}/{name}" for name in names if not RULE.read(name)]
    unknown = sorted(tested - {pid for _, pid, _ in rows})
    if unknown:
        raise DataError(f"{root / folder}: no picture of {len(unknown)} test persons of split {params.split}")
    test = _split(root, [row for row in rows if row[1] in tested])
    train = _split(root, [row for row in rows if row[1] not in tested])
    more = {"train": strays} if strays else {}
    dataset = Dataset("cuhk03-classic", root, train, test, test, (CLASSIC_NOTE,), strays=more)
    return finish(dataset, params, "cuhk03-classic")


def _pair_person(name: str) -> tuple[int, int]:
    """(pid, camid): persons are numbered within a pair of cameras, and there are five pairs."""
    pair, person, view, _ = name.split("_")
    return int(pair) * 10000 + int(person), 2 * (int(pair) - 1) + int(view) - 1


def _test_persons(root: Path, params: CuhkClassicParams) -> set[int]:
    table, splits = root / TESTSETS, root / CLASSIC.format(params.boxes)
    try:
        if table.is_file():
            lines = [line.split(",") for line in table.read_text().split()]
            rows = [(int(split), int(pair), int(person)) for split, pair, person in lines if split.isdecimal()]
            persons = {pair * 10000 + person for split, pair, person in rows if split == params.split}
        elif splits.is_file():
            images = json.loads(splits.read_text())[params.split]["query"]
            names = [str(path).replace("\\", "/").rpartition("/")[2] for path, *_ in images]
            persons = {_pair_person(name)[0] for name in names}
        else:
            raise DataError(f"{root}: neither {TESTSETS} nor {splits.name} is there, which tell the test persons")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{root}: the list of test persons cannot be read: {error}") from None
    if not persons:
        raise DataError(f"{root}: no test person of split {params.split} in the list")
    return persons


def _pictures(root: Path, folder: str) -> list[str]:
    if not (root / folder).is_dir():
        packed = " (cuhk-03.mat has to be unpacked into it first)" if list(root.rglob("cuhk-03.mat")) else ""
        raise DataError(f"{root / folder}: no such folder{packed}")
    return list_names(root / folder)


def _split(root: Path, rows: list[tuple[str, int, int]]) -> Split:
    if not rows:
        raise DataError(f"{root}: a split without a picture")
    paths, pids, camids = zip(*sorted(rows), strict=True)
    return Split.of_columns(root, paths, pids, camids)


def fingerprint_np(params: CuhkParams, root: Path) -> str:
    """Names and contents of the pictures of these boxes, and the configuration."""
    parts = (f"images_{params.boxes}", CONFIG.format(params.boxes), params.boxes, *MARKET_FOLDERS.values())
    return fingerprint_parts(params, root, *parts)


def fingerprint_classic(params: CuhkClassicParams, root: Path) -> str:
    """Names and contents of the pictures of these boxes, and the test persons."""
    return fingerprint_parts(params, root, f"images_{params.boxes}", CLASSIC.format(params.boxes), TESTSETS)
