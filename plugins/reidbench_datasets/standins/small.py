"""Stand-ins for the small data sets: VIPeR, GRID, PRID and CUHK01, with the number of persons of their fixed splits,
and the partial and occluded data sets, which are for tests only."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from reidbench import Params
from reidbench.data import make_stand_in

from ..params import Cuhk01Params, GridParams, SplitParams, ViperParams
from ..partial import INSIDE
from ..small import GRID_PARTITIONS, GRID_TRAIN, PRID_SHARED
from ..splits import PERSONS
from .figures import Shown, write
from .listed import save_mat
from .people import TEST

MANY = 40  # persons without a query: GRID's distractors, PRID's persons of one camera


def viper(params: ViperParams, folder: Path) -> Path:
    """Write 632 persons, one image from each of two cameras."""

    def fill(top: Path) -> None:
        for person in range(PERSONS["viper"]):
            for camera, (place, angle) in enumerate((("cam_a", 0), ("cam_b", 90))):
                write(top, f"{place}/{person:03d}_{angle}.bmp", person, camera, (128, 48))

    return make_stand_in(folder / "VIPeR", "viper", params.model_dump(mode="json"), fill)


def grid(params: GridParams, folder: Path) -> Path:
    """Write 250 persons in probe and gallery from two of eight cameras, 40 distractors, optionally the partitions."""

    def fill(top: Path) -> None:
        for person in range(1, PERSONS["grid"] + 1):
            for place, camera in (("probe", person % 8), ("gallery", (person + 3) % 8)):
                write(top, f"{place}/{_grid_name(person, camera, person)}", person, camera)
        for number in range(MANY):
            write(top, f"gallery/{_grid_name(0, number % 8, number)}", ("distractor", number), number % 8)
        if params.partition == "official":
            save_mat(top / GRID_PARTITIONS, {"trainIdxAll": _partitions()})

    return make_stand_in(folder / "underground_reid", "grid", params.model_dump(mode="json"), fill)


def _grid_name(person: int, camera: int, number: int) -> str:
    """Return a name: person, camera, frame and box."""
    return f"{person:04d}_{camera + 1}_{25000 + number:05d}_107_32_106_221.jpeg"


def _partitions() -> np.ndarray:
    """Return ten structs whose third field contains the 125 training persons, as in the release."""
    cells = np.empty((1, 10), dtype=object)
    for split in range(10):
        persons = 1 + (split + np.arange(GRID_TRAIN)) % PERSONS["grid"]
        cells[0, split] = {"split": split + 1, "count": GRID_TRAIN, "persons": persons[None].astype(np.float64)}
    return cells


def prid2011(params: SplitParams, folder: Path) -> Path:
    """Write 200 persons seen by both cameras, and 40 others for each camera."""

    def fill(top: Path) -> None:
        for camera, place in enumerate(("cam_a", "cam_b")):
            for number in range(1, PRID_SHARED + MANY + 1):
                person = number if number <= PRID_SHARED else (place, number)
                write(top, f"single_shot/{place}/person_{number:04d}.png", person, camera, (128, 64))

    return make_stand_in(folder / "prid_2011", "prid2011", params.model_dump(mode="json"), fill)


def cuhk01(params: Cuhk01Params, folder: Path) -> Path:
    """Write 971 persons, two images from each of two cameras."""

    def fill(top: Path) -> None:
        for person in range(1, PERSONS["cuhk01"] + 1):
            for shot in range(4):
                write(top, f"campus/{person:04d}{shot + 1:03d}.png", person, shot // 2, (160, 60))

    return make_stand_in(folder / "CUHK01", "cuhk01", params.model_dump(mode="json"), fill)


def _partial(name: str, layout: tuple[str, str], path: str, queries: Shown, params: Params, folder: Path) -> Path:
    """Write 6 persons: one query, which shows a part, and three whole images."""

    def fill(top: Path) -> None:
        for person in TEST:
            for number in range(1, 5):
                place, seen = (layout[0], queries) if number == 1 else (layout[1], "whole")
                write(top, f"{place}/{path.format(person=person, number=number)}", person, number, shown=seen)

    return make_stand_in(folder / INSIDE[name][0], name, params.model_dump(mode="json"), fill)


partial_reid = partial(
    _partial,
    "partial-reid",
    ("partial_body_images", "whole_body_images"),
    "{person:03d}_{number:03d}.jpg",
    "upper half",
)
partial_ilids = partial(_partial, "partial-ilids", ("query", "gallery"), "{person:03d}_{number:03d}.jpg", "upper half")
occluded_reid = partial(
    _partial,
    "occluded-reid",
    ("occluded_body_images", "whole_body_images"),
    "{person:03d}/{person:03d}_{number:02d}.tif",
    "behind a bar",
)
