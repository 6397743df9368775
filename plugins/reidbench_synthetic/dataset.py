"""The `synthetic` data set: rendered when it is first needed, then read like any other."""

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

_CURE = "delete the folder to have it rendered again"


def open_synthetic(
    params: SyntheticParams, root: Path | None, cache: Path, progress: Progress | None = None
) -> Dataset:
    """The set in `root`, or in the cache if there is none; rendered if missing.

    `progress(done, total)` counts files while rendering. Raises DataError when `root` holds something else.
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
    """Names the content without rendering it; structure maps do not change the pictures."""
    return f"synthetic-{_folder_name(params)}"


def _folder_name(params: SyntheticParams) -> str:
    return f"{params.world}-{params.size}-s{params.seed}-v{RENDERER_VERSION}"


def _check_counts(params: SyntheticParams, dataset: Dataset) -> None:
    """Pictures that somebody deleted or added would change results without changing the fingerprint."""
    wanted = Counter[str](shot.part for shot in list_shots(params.world, params.size))
    for part, split in dataset.parts().items():
        if len(split) != wanted[part]:
            raise DataError(f"{dataset.root}: {part} holds {len(split)} pictures instead of {wanted[part]}; {_CURE}")


def _labelled(params: SyntheticParams, dataset: Dataset) -> Dataset:
    """The set with the labels beyond identity of its world; a file's path says which shot it is."""
    shots = {shot.path: shot for shot in list_shots(params.world, params.size)}

    def label(split: Split) -> Split:
        strange = [path for path in split.paths if path not in shots]
        if strange:
            raise DataError(f"{dataset.root}: {strange[0]} is not a picture of this set; {_CURE}")
        labels = labels_of(params, [shots[path] for path in split.paths])
        columns = split.paths, split.pids, split.camids, split.domains, split.times
        return Split.of_columns(split.root, *columns, more=labels)

    query, gallery = (None if split is None else label(split) for split in (dataset.query, dataset.gallery))
    return replace(dataset, train=label(dataset.train), query=query, gallery=gallery)
