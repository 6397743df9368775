"""Labels beyond identity of a world: clothes and attributes, modality or tracklets."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from reidbench.data import MoreLabels

from .params import SyntheticParams
from .persons.attributes import describe
from .render import draw_person
from .shots import Shot, list_shots
from .worlds import WORLDS

_COLUMNS = {"clothes": "clothes", "modality": "modality", "tracklets": "tracklet"}  # of a split: of a manifest


def labels_of(params: SyntheticParams, shots: Sequence[Shot]) -> MoreLabels:
    """Return the labels of images, in their order."""
    world = WORLDS[params.world]
    modality = ["infrared" if shot.camera in world.infrared else "visible" for shot in shots]
    return MoreLabels.of(
        clothes=[shot.outfit for shot in shots] if world.outfits else None,
        modality=modality if world.infrared else None,
        tracklets=[shot.tracklet for shot in shots],
        attributes=_attributes(params, shots) if world.outfits else None,
    )


def _attributes(params: SyntheticParams, shots: Sequence[Shot]) -> dict[str, list[str]]:
    world, seen = WORLDS[params.world], {(shot.person, shot.outfit) for shot in shots}
    worn = {(who, outfit): describe(draw_person(params.seed, world, who, outfit)) for who, outfit in seen}
    rows = [worn[shot.person, shot.outfit] for shot in shots]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def write_manifest(params: SyntheticParams, file: Path) -> None:
    """Write all images with their labels as a CSV manifest, with paths relative to the data set's folder."""
    shots = list_shots(params.world, params.size)
    labels = labels_of(params, shots)
    columns: dict[str, Sequence[object]] = {
        "path": [shot.path for shot in shots],
        "pid": [shot.pid for shot in shots],
        "split": [shot.part for shot in shots],
        "camid": [shot.camera for shot in shots],
    }
    columns |= {_COLUMNS[name]: values for name, values in labels.columns().items() if name in _COLUMNS}
    if labels.attributes:
        rows = zip(*labels.attributes.values(), strict=True)
        columns["attributes"] = [
            ";".join(f"{name}={text}" for name, text in zip(labels.attributes, row, strict=True)) for row in rows
        ]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
