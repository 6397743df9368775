"""Input folders of a program: images under opaque names, with labels for the source only."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from reidbench.data import UNKNOWN_CAMERA, HiddenSplit, Split
from reidbench.data.pictures.opaque import copy_pictures, opaque_names
from reidbench.errors import DataError


@contextmanager
def workplace(scratch: Path, *, resumable: bool) -> Iterator[tuple[Path, Path]]:
    """Yield a program's input and output folder; with `resumable` the latter keeps its content from the last run."""
    given, out = scratch / "given", scratch / "out"
    for old in (given, *(() if resumable else (out,))):
        shutil.rmtree(old, ignore_errors=True)  # left by a killed stage
    out.mkdir(exist_ok=True)
    given.mkdir()
    try:
        yield given, out
    finally:
        shutil.rmtree(given, ignore_errors=True)


def write_hidden(images: HiddenSplit, folder: Path, seed: int) -> list[str]:
    """Write images without labels and return the name of each [N]."""
    names = opaque_names(images, seed)
    copy_pictures(images, names, folder)
    return names


def write_cameras(file: Path, names: Sequence[str], camids: np.ndarray) -> None:
    """Write `name,camera`, sorted by name; cameras count from 0, and an empty cell is an unknown camera."""
    _write_table(file, ("name", "camera"), sorted((name, _camera(camid)) for name, camid in _pairs(names, camids)))


def write_source(images: Split, folder: Path, seed: int, layout: str) -> None:
    """Write the labelled source in the Market-1501 layout, or as images and a CSV file for `csv-manifest`.

    Raises DataError if a camera is unknown, which Market-1501 file names cannot express.
    """
    names = opaque_names(images, seed)
    if layout == "csv":
        copy_pictures(images, names, folder / "images")
        rows = zip(names, images.pids.tolist(), images.camids.tolist(), strict=True)
        table = sorted((f"images/{name}", pid, "train", _camera(camid)) for name, pid, camid in rows)
        _write_table(folder / "train.csv", ("path", "pid", "split", "camid"), table)
        return
    if (images.camids == UNKNOWN_CAMERA).any():
        raise DataError("Market-1501 file names cannot express an unknown camera; set `layout: csv`")
    copy_pictures(images, market_names(names, images), folder / "bounding_box_train")


def market_names(names: Sequence[str], images: Split) -> list[str]:
    """Return Market-1501 file names [N]: pid and camera, then a number in the order of the opaque names."""
    order = {name: number for number, name in enumerate(sorted(names))}
    rows = zip(names, images.pids.tolist(), images.camids.tolist(), strict=True)
    return [
        f"{pid:0{2 if pid < 0 else 4}d}_c{camid + 1}s1_{order[name]:06d}_00{Path(name).suffix}"
        for name, pid, camid in rows
    ]


def _pairs(names: Sequence[str], camids: np.ndarray) -> Iterator[tuple[str, int]]:
    return zip(names, camids.tolist(), strict=True)


def _camera(camid: int) -> str:
    return "" if camid == UNKNOWN_CAMERA else str(camid)


def _write_table(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(header)
        lines.writerows(rows)
