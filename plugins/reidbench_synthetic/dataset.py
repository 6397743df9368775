"""The `synthetic` data set: rendered on first use, then read like any other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from reidbench.data import Dataset, Split, read_market_folder
from reidbench.errors import DataError

from .folder import write_folder, write_structure
from .labels import labels_of
from .params import SyntheticParams
from .render import RENDERER_VERSION
from .shots import list_shots
from .truth import Truth
from .workers import Progress
from .worlds import WORLDS

_CURE = "delete the folder to render it again"


def open_synthetic(
    params: SyntheticParams, root: Path | None, cache: Path, progress: Progress | None = None
) -> Dataset:
    """Return the data set in `root`, or in the cache without one; renders it if missing.

    `progress(done, total)` counts files during rendering. Raises DataError if `root` contains something else.
    """
    folder = Path(root) if root is not None else Path(cache) / "synthetic" / _folder_name(params)
    write_folder(params, folder, progress=progress)
    if params.structure:
        write_structure(params, folder, progress=progress)
    parts = ("train",) if WORLDS[params.world].pool else ("train", "query", "gallery")
    dataset = read_market_folder(folder, name=f"synthetic-{params.world}", parts=parts, train_distractors=True)
    _check_counts(params, dataset)
    labelled = _labelled(params, dataset) if WORLDS[params.world].labels else dataset
    return labelled.with_truth(Truth(params))


def fingerprint(params: SyntheticParams, root: Path | None) -> str:
    """Return a fingerprint of the content without rendering it; structure maps do not change it."""
    return f"synthetic-{_folder_name(params)}"


def _folder_name(params: SyntheticParams) -> str:
    return f"{params.world}-{params.size}-s{params.seed}-v{RENDERER_VERSION}"


def _check_counts(params: SyntheticParams, dataset: Dataset) -> None:
    """Raise DataError for deleted or added images, which change results but not the fingerprint."""
    wanted = Counter[str](shot.part for shot in list_shots(params.world, params.size))
    for part, split in dataset.parts().items():
        if len(split) != wanted[part]:
            raise DataError(f"{dataset.root}: {part} has {len(split)} images instead of {wanted[part]}; {_CURE}")


def _labelled(params: SyntheticParams, dataset: Dataset) -> Dataset:
    """Return the data set with its world's labels beyond identity; a file's path identifies the shot."""
    shots = {shot.path: shot for shot in list_shots(params.world, params.size)}

    def label(split: Split) -> Split:
        strange = [path for path in split.paths if path not in shots]
        if strange:
            raise DataError(f"{dataset.root}: {strange[0]} is not an image of this data set; {_CURE}")
        labels = labels_of(params, [shots[path] for path in split.paths])
        columns = split.paths, split.pids, split.camids, split.domains, split.times
        return Split.of_columns(split.root, *columns, more=labels)

    query, gallery = (None if split is None else label(split) for split in (dataset.query, dataset.gallery))
    return replace(dataset, train=label(dataset.train), query=query, gallery=gallery)
