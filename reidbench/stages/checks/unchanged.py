"""Check that a stage's data are still those of the plan and the lists; otherwise its result must not be published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.data import Split
from reidbench.data.overlap import part_numbers, read_numbers
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.matrix.keys import content_of, features_content, short
from reidbench.matrix.stage import Stage
from reidbench.store.artifact import Artifact

from ..inputs import Inputs, images_root
from ..spec import PlannedData

PARTS = ("train", "query", "gallery")


def refuse_changed(inputs: Inputs, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise DataError, naming an image, if the files of a stage differ from those planned or listed.

    Its result, in `folder`, would be published under the key of the original files. Contents are hashed only if the
    index does not prove a file unchanged.
    """
    stage = inputs.stage
    if stage.kind == "data":
        if _differs(inputs, stage):
            raise _refusal(stage.label, _last(Artifact(stage.key, folder, manifest), stage.root))
        return
    if stage.files and features_content(stage.files) != stage.content:
        raise _refusal(stage.label, "")
    names = {given.key: given.data for given in stage.data}
    for key, planned in inputs.spec.data_stages.items():
        changed = _changed_pictures(inputs, inputs.artifact(key), planned.root)
        if changed or _differs(inputs, planned):
            raise _refusal(f"data {names.get(key, key)}", _first(changed))


def _refusal(name: str, which: str) -> DataError:
    return DataError(
        f"{name}: its files changed during the run{which}; this result is discarded, because it may mix old and new "
        "files: run it again"
    )


def _differs(inputs: Inputs, planned: Stage | PlannedData) -> bool:
    """Return whether the files of a data set as a whole differ from the plan's.

    Sets without a root are rendered, not read; a root that contains the store always changes.
    """
    if not planned.root or not planned.content:
        return False
    if inputs.spec.store.is_relative_to(planned.root):
        return False
    component = inputs.registry.get("dataset", planned.use)
    now = content_of(component, component.params(**planned.params), Path(planned.root))
    return short(now) != planned.content


def _changed_pictures(inputs: Inputs, artifact: Artifact, root: str | None) -> list[Path]:
    """Return the images that differ from those listed, which a component's own fingerprint may not cover."""
    listed = read_numbers(artifact.path)
    changed = []
    for part, split in _splits(artifact, root):
        if part in listed:
            places = np.flatnonzero(part_numbers(split, inputs.spec.cache) != listed[part])
            changed += [split.root / split.paths[place] for place in places.tolist()]
    return changed


def _splits(artifact: Artifact, root: str | None) -> Iterator[tuple[str, Split]]:
    for part in PARTS:
        file = artifact.path / f"{part}.json"
        if file.is_file():
            yield part, Split.load(file, images_root(artifact, root))


def _first(changed: list[Path]) -> str:
    more = f" and {len(changed) - 1} more images" if len(changed) > 1 else ""
    return f", {shown(changed[0])}{more} among them" if changed else ""


def _last(artifact: Artifact, root: str | None) -> str:
    """Return the image that changed last; "" if none is a file."""
    files = [split.root / path for _, split in _splits(artifact, root) for path in split.paths]
    times = {file: file.stat().st_ctime_ns for file in files if file.is_file()}
    return f", of its images last {shown(max(times, key=lambda file: times[file]))}" if times else ""
