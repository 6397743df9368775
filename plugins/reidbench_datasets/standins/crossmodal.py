"""Stand-ins with visible and infrared or thermal cameras: SYSU-MM01 and RegDB."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reidbench.data import make_stand_in

from ..modality_params import RegdbParams, SysuParams
from ..regdb import FOLDERS, list_file
from ..sysu import CAMERAS, INFRARED, LISTS
from .figures import draw, varying, write
from .people import TEST, TRAIN, shots

VALIDATION = range(10, 13)  # part of the persons of TRAIN
SPLITS = range(1, 11)
EACH = 4  # images of a person in a modality; RegDB has ten


def sysu_mm01(params: SysuParams, folder: Path) -> Path:
    """Write 9 + 3 persons of train and val and 6 of the test, two images from each of six cameras, grey if infrared."""

    def fill(top: Path) -> None:
        for shot in shots([*TRAIN, *TEST], len(CAMERAS), 2):
            path = f"{CAMERAS[shot.camera]}/{shot.person:04d}/{shot.number + 1:04d}.jpg"
            if shot.camera in INFRARED:
                _write_grey(top, path, shot.person, shot.camera)
            else:
                write(top, path, shot.person, shot.camera)
        persons = {"train": [pid for pid in TRAIN if pid not in VALIDATION], "val": VALIDATION, "test": TEST}
        for part, file in LISTS.items():
            (top / file).parent.mkdir(exist_ok=True)
            (top / file).write_text(",".join(map(str, persons[part])) + "\n", encoding="utf-8")

    return make_stand_in(folder / "SYSU-MM01", "sysu-mm01", params.model_dump(mode="json"), fill)


def regdb(params: RegdbParams, folder: Path) -> Path:
    """Write 18 persons with four visible and four thermal images each, and ten splits of 12 and 6 persons."""

    def fill(top: Path) -> None:
        persons = [*TRAIN, *TEST]
        for person in persons:
            for path in _regdb_paths("visible", person):
                write(top, path, person, 0, (128, 64))
            for path in _regdb_paths("thermal", person):
                _write_grey(top, path, person, 1, (128, 64))
        (top / "idx").mkdir()
        for split in SPLITS:
            turned = persons[split:] + persons[:split]
            _lists(top, "train", split, sorted(turned[: len(TRAIN)]))
            _lists(top, "test", split, sorted(turned[len(TRAIN) :]))

    return make_stand_in(folder / "RegDB", "regdb", params.model_dump(mode="json"), fill)


def _lists(top: Path, part: str, split: int, persons: Iterable[int]) -> None:
    """Write both lists of train or test; the labels count the persons from 0."""
    for modality in FOLDERS:
        lines = [f"{path} {label}\n" for label, pid in enumerate(persons) for path in _regdb_paths(modality, pid)]
        (top / list_file(part, modality, split)).write_text("".join(lines), encoding="utf-8")


def _regdb_paths(modality: str, person: int) -> list[str]:
    """Return paths of sex and side, modality, frame and person, as in the release."""
    stem = f"{FOLDERS[modality]}/{person}/{('female', 'male')[person % 2]}_front_{modality[0]}"
    return [f"{stem}_{100 * person + number:05d}_{person}.bmp" for number in range(EACH)]


def _write_grey(top: Path, path: str, person: int, camera: int, size: tuple[int, int] | None = None) -> None:
    """Write an image with one channel."""
    file = top / path
    file.parent.mkdir(parents=True, exist_ok=True)
    draw(path, person, camera, size or varying(path)).convert("L").save(file, quality=90)
