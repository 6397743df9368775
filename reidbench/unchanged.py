"""Whether pictures are still those that were listed: a stage that read others must not be published under its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .benchmark import Choice, DataSource
from .data import Dataset, Split
from .data.names import shown
from .data.overlap import part_numbers
from .errors import DataError
from .inputs import Inputs
from .plan import data_stage_key
from .trained import picture_numbers

PARTS = {"train": ("train",), "test": ("query", "gallery")}
CURE = "nothing is published; run again when its files stay as they are"


def check_listed(inputs: Inputs, dataset: Dataset) -> None:
    """Raise DataError when the files of a data set that was just listed are not those that were planned with."""
    stage = inputs.stage
    if stage["root"] and _key(inputs, stage) != stage["key"]:
        raise DataError(f"{shown(stage['root'])}: files have changed since the run began{_last(dataset)}; {CURE}")


def check_read(inputs: Inputs) -> None:
    """Raise DataError, naming the first, when pictures that a stage may have read are not those that were listed.

    Contents are hashed only where the index does not prove a file unchanged; sets without numbers for their pictures
    (an lmdb) are compared as a whole, and rendered sets, which nobody edits, are not looked at.
    """
    looked = set()
    for given in inputs.stage["data"]:
        use = given["key"], given["part"]
        if use not in looked:
            looked.add(use)
            _check_set(inputs, given)


def _check_set(inputs: Inputs, given: Mapping[str, Any]) -> None:
    artifact, root = inputs.folder_of(given)
    listed = picture_numbers(artifact)
    planned = inputs.spec["data_stages"][given["key"]]
    if not listed and planned["root"] and _key(inputs, planned) != given["key"]:
        raise DataError(f"{shown(planned['root'])}: files have changed since they were listed; {CURE}")
    for part in PARTS[given["part"]]:
        if part not in listed:
            continue
        split = Split.load(artifact.path / f"{part}.json", root)
        changed = np.flatnonzero(part_numbers(split, Path(inputs.spec["cache"])) != listed[part])
        if len(changed):
            more = f" and {len(changed) - 1} more files" if len(changed) > 1 else ""
            first = shown(root / split.paths[int(changed[0])])
            raise DataError(f"{first}{more}: changed since they were listed as part of {given['data']}; {CURE}")


def _key(inputs: Inputs, planned: Mapping[str, Any]) -> str:
    """The key that the data set would be given now."""
    component = inputs.registry.get("dataset", planned["use"])
    choice = Choice("dataset", component, component.params(**planned["params"]))
    return data_stage_key(DataSource("", choice, Path(planned["root"])))


def _last(dataset: Dataset) -> str:
    """The picture that was changed last; nothing where none is a file."""
    times = {file: file.stat().st_ctime_ns for file in _files(dataset) if file.is_file()}
    return f", of its pictures last {shown(max(times, key=lambda file: times[file]))}" if times else ""


def _files(dataset: Dataset) -> Iterator[Path]:
    return (split.root / path for split in dataset.parts().values() for path in split.paths)
