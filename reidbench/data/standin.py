"""Stand-in data: a few rendered persons in the layout of a data set, with a mark that distinguishes them from it.

A stand-in can have the same names and counts as its data set, so only the mark identifies it: everything in or below a
folder with this file is a stand-in, for every reader. Every row computed on stand-in data is marked.
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
    """Create a stand-in for the data set `name` with `fill`, and mark it with its name and JSON parameters.

    The folder appears complete or not at all; an existing identical stand-in is kept. Returns the folder. Raises
    DataError if the folder contains anything else.
    """
    mark = json.dumps({"stand_in_for": name, "params": params, "note": NOTE}, sort_keys=True) + "\n"
    if is_empty(folder):
        with whole_folder(folder) as unfinished:
            fill(unfinished)
            (unfinished / MARK).write_text(mark, encoding="utf-8")
    if not (folder / MARK).is_file() or (folder / MARK).read_text(encoding="utf-8") != mark:
        raise DataError(f"{shown(folder)}: not empty, and not the same stand-in for {name}; choose another folder")
    return folder


def is_stand_in(place: Path) -> bool:
    """Whether a folder or file is marked, or is below a marked folder. Links are resolved first."""
    real = Path(place).resolve()
    return any(os.path.isfile(folder / MARK) for folder in (real, *real.parents))  # noqa: PTH113 - never an OSError


def told_as_stand_in(dataset: Dataset, root: str | Path | None) -> Dataset:
    """Add NOTE to the faults of a data set if its images or the root that it was opened with are marked."""
    marked = is_stand_in(dataset.root) or (root is not None and is_stand_in(Path(root)))
    return dataset.with_faults(NOTE) if marked else dataset
