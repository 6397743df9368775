"""Stand-in data: a few drawn persons in the layout of a data set, and the mark that tells them from the data set.

A stand-in can have the very names and counts of its data set, so that only the mark tells: whatever lies in or below a
folder with this file is a stand-in, whichever reader opens it. Every row that comes from one says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reidbench.errors import DataError
from reidbench.files.atomic import is_empty, whole_folder
from reidbench.files.names import shown

from .dataset import Dataset

MARK = "reidbench-stand-in.json"
STAND_IN = "stand-in data"  # a word of the protocol column
NOTE = "stand-in data: made by reidbench, not the data set"


def make_stand_in(folder: Path, name: str, params: Mapping[str, Any], fill: Callable[[Path], None]) -> Path:
    """Have `fill` write a stand-in for the data set `name` with these JSON values into a folder, and mark it.

    The folder appears whole or not at all; the same stand-in that is there already stays. Returns the folder. Raises
    DataError where it holds something else.
    """
    mark = json.dumps({"stand_in_for": name, "params": params, "note": NOTE}, sort_keys=True) + "\n"
    if is_empty(folder):
        with whole_folder(folder) as unfinished:
            fill(unfinished)
            (unfinished / MARK).write_text(mark, encoding="utf-8")
    if not (folder / MARK).is_file() or (folder / MARK).read_text(encoding="utf-8") != mark:
        raise DataError(f"{shown(folder)}: not empty, and not this stand-in for {name}; give another folder")
    return folder


def is_stand_in(place: Path) -> bool:
    """Whether a folder or a file is marked, or lies below a folder that is. Links are followed first."""
    real = Path(place).resolve()
    return any(os.path.isfile(folder / MARK) for folder in (real, *real.parents))  # noqa: PTH113 - never an OSError


def told_as_stand_in(dataset: Dataset, root: str | Path | None) -> Dataset:
    """The data set, with NOTE among its faults where its pictures or the root that it was opened with are marked."""
    marked = is_stand_in(dataset.root) or (root is not None and is_stand_in(Path(root)))
    return dataset.with_faults(NOTE) if marked else dataset
