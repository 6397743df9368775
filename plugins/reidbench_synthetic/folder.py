"""A rendered data set on disk: a Market-1501-style folder with a JSON description."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from reidbench.errors import DataError
from reidbench.files.atomic import is_empty, whole_folder

from .labels import write_manifest
from .params import SyntheticParams
from .render import RENDERER_VERSION
from .shots import Kind, Part, list_shots
from .workers import Job, Progress, render_files
from .worlds import WORLDS, size_of

DESCRIPTION = "synthetic.json"
MANIFEST = "labels.csv"  # of worlds with labels beyond identity
STRUCTURE = "structure"
ANGLES = (0, 45, 90, 135, 180, 225, 270, 315)
_STRUCTURE_SIDES: dict[Part, str] = {"train": "train", "gallery": "test"}


def write_folder(
    params: SyntheticParams, destination: Path, processes: int | None = None, progress: Progress | None = None
) -> None:
    """Render a data set into `destination`, with a manifest of its labels, unless it already exists.

    Uses all cores by default; `processes` 1 renders in this process. The folder is written atomically, and several
    processes may render it at the same time. Raises DataError if `destination` contains something else.
    """
    if not holds_set(params, destination):
        jobs = [Job(shot.path, shot) for shot in list_shots(params.world, params.size)]
        with whole_folder(destination) as folder:
            render_files(params, jobs, folder, processes, progress)
            text = json.dumps(_description(params), indent=2) + "\n"
            (folder / DESCRIPTION).write_text(text, encoding="utf-8")
            if WORLDS[params.world].labels:
                write_manifest(params, folder / MANIFEST)
        if not holds_set(params, destination):
            raise DataError(f"{destination}: emptied while a synthetic data set was rendered into it; run again")


def write_structure(
    params: SyntheticParams, destination: Path, processes: int | None = None, progress: Progress | None = None
) -> None:
    """Add structure maps of all train and gallery persons to a written data set, if they are missing.

    `structure/{train,test}/render[_45.._315]/<the image's name>`: light grey on white; the angle turns the
    person's front towards the right of the image. Maps of other renderers may turn the other way.
    """
    if (destination / STRUCTURE).is_dir():
        return
    jobs = []
    for shot in list_shots(params.world, params.size):
        if shot.part in _STRUCTURE_SIDES and shot.kind is not Kind.IRRELEVANT:
            side = _STRUCTURE_SIDES[shot.part]
            jobs += [Job(f"{side}/render{_suffix(angle)}/{shot.name}", shot, angle) for angle in ANGLES]
    with whole_folder(destination / STRUCTURE) as folder:
        render_files(params, jobs, folder, processes, progress)


def holds_set(params: SyntheticParams, destination: Path) -> bool:
    """Return whether exactly this data set exists. False if nothing does; raises DataError for other content."""
    if is_empty(destination):
        return False
    found = _read_description(destination)
    wanted = _description(params)
    different = [key for key in ("world", "size", "seed", "renderer") if found.get(key) != wanted[key]]
    if different:
        has, wants = ({key: it.get(key) for key in different} for it in (found, wanted))
        raise DataError(
            f"{destination}: contains a synthetic data set with {has}, not {wants}; set another root or none"
        )
    return True


def _read_description(destination: Path) -> dict[str, Any]:
    foreign = (
        f"{destination}: not empty and not a synthetic data set (no readable {DESCRIPTION}); set another root or none"
    )
    try:
        found = json.loads((destination / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(foreign) from error
    if not isinstance(found, dict):
        raise DataError(foreign)
    return found


def _description(params: SyntheticParams) -> dict[str, Any]:
    size = size_of(params.world, params.size)
    return {
        "world": params.world,
        "size": params.size,
        "seed": params.seed,
        "renderer": RENDERER_VERSION,
        "height": size.height,
        "width": size.width,
        "cameras": size.cameras,
        "counts": dict(Counter(shot.part for shot in list_shots(params.world, params.size))),
    }


def _suffix(angle: int) -> str:
    return f"_{angle}" if angle else ""
