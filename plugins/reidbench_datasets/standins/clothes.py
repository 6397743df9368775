"""Stand-ins whose persons change clothes: PRCC, LTCC and VC-Clothes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reidbench.data import make_stand_in

from ..ltcc import LISTS
from ..params import CheckedParams, LtccParams, PrccParams
from ..prcc import CAMERAS, OUTFITS, TEST, TRAIN, VALIDATION
from .figures import write
from .people import TEST as TESTED
from .people import TRAIN as TRAINED
from .people import Shot, shots

LTCC_CAMERAS, VC_CAMERAS = 12, 4
VC_OUTFITS = (3, 1, 1, 2)  # by camera, as described in the paper for cameras 2 to 4
LTCC_LISTS = {"train": (TRAINED, LISTS["train"]), "test": (TESTED, LISTS["test"])}


def prcc(params: PrccParams, folder: Path) -> Path:
    """Write 12 + 6 persons, five images from each of three cameras, one of them in val, and three in the test."""

    def fill(top: Path) -> None:
        for shot in shots(TRAINED, len(CAMERAS), 5):
            place = VALIDATION if shot.number == 4 else TRAIN
            name = f"{CAMERAS[shot.camera]}_{_prcc_name(shot)}"
            _write(top, f"{place}/{shot.person:03d}/{name}", shot, OUTFITS[CAMERAS[shot.camera]])
        for shot in shots(TESTED, len(CAMERAS), 3):
            camera = CAMERAS[shot.camera]
            _write(top, f"{TEST[camera]}/{shot.person:03d}/{_prcc_name(shot)}", shot, OUTFITS[camera])

    return make_stand_in(folder / "prcc", "prcc", params.model_dump(mode="json"), fill)


def _prcc_name(shot: Shot) -> str:
    return f"cropped_rgb{shot.number + 1:03d}.jpg"


def ltcc(params: LtccParams, folder: Path) -> Path:
    """Write 12 + 6 persons, two images from each of 12 cameras; two of three persons change clothes, and are listed."""

    def fill(top: Path) -> None:
        for shot in shots([*TRAINED, *TESTED], LTCC_CAMERAS, 2):
            asked = shot.number == 0 and shot.camera % 3 == shot.person % 3
            place = "train" if shot.person in TRAINED else "query" if asked else "test"
            outfit = 1 + shot.camera % 2 if _changes(shot.person) else 1
            frame = 1000 * shot.person + 10 * shot.camera + shot.number
            name = f"{shot.person - 1:03d}_{outfit}_c{shot.camera + 1}_{frame:06d}.png"
            _write(top, f"{place}/{name}", shot, outfit)
        (top / "info").mkdir()
        for persons, file in LTCC_LISTS.values():
            _list(top / file, filter(_changes, persons))
            _list(top / file.replace("cloth-change", "cloth-unchange"), (p for p in persons if not _changes(p)))

    return make_stand_in(folder / "LTCC_ReID", "ltcc", params.model_dump(mode="json"), fill)


def _changes(person: int) -> bool:
    return person % 3 != 0


def _list(file: Path, persons: Iterable[int]) -> None:
    file.write_text("".join(f"{person - 1:03d}\n" for person in persons), encoding="utf-8")


def vc_clothes(params: CheckedParams, folder: Path) -> Path:
    """Write 12 + 6 persons, four images from each of four cameras, three outfits; one query per person and camera."""

    def fill(top: Path) -> None:
        for shot in shots([*TRAINED, *TESTED], VC_CAMERAS, 4):
            place = "train" if shot.person in TRAINED else "gallery" if shot.number else "query"
            outfit = VC_OUTFITS[shot.camera]
            name = f"{shot.person:04d}-{shot.camera + 1:02d}-{outfit:02d}-{shot.number + 1:02d}.jpg"
            _write(top, f"{place}/{name}", shot, outfit)

    return make_stand_in(folder / "VC-Clothes", "vc-clothes", params.model_dump(mode="json"), fill)


def _write(top: Path, path: str, shot: Shot, outfit: int) -> None:
    write(top, path, shot.person, shot.camera, outfit=outfit)
