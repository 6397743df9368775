"""Stand-ins of vehicles (VeRi-776, VehicleID, VERI-Wild), and folders of animals."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from reidbench.data import make_stand_in

from ..params import CheckedParams, IdentityFoldersParams
from ..vehicles.params import VehicleIdParams, VeriWildParams
from ..vehicles.vehicleid import IMAGES, list_files
from ..vehicles.veri776 import CAMERAS, FOLDERS
from ..vehicles.veriwild import IMAGES as WILD_IMAGES
from ..vehicles.veriwild import list_files as wild_files
from .figures import Shown, landscape, write
from .people import TEST, TRAIN, Shot, is_query, shots

WILD_CAMERAS, WILD_EACH = 174, 10  # a vehicle is seen by ten cameras
EACH = 8  # images of a vehicle of VehicleID, and of an animal
ANIMALS = 18
OCCASIONS = 4


def veri_776(params: CheckedParams, folder: Path) -> Path:
    """Write 12 + 6 vehicles, one image from each of twenty cameras; the queries are in image_test too."""

    def fill(top: Path) -> None:
        for shot in shots([*TRAIN, *TEST], len(CAMERAS), 1):
            name = f"{shot.person:04d}_c{shot.camera + 1:03d}_{1000 * shot.person + shot.camera:08d}_0.jpg"
            place = FOLDERS["train" if shot.person in TRAIN else "gallery"]
            _write(top, f"{place}/{name}", shot.person, shot.camera)
            if shot.person in TEST and is_query(shot, len(CAMERAS)):
                (top / FOLDERS["query"]).mkdir(exist_ok=True)
                shutil.copyfile(top / place / name, top / FOLDERS["query"] / name)

    return make_stand_in(folder / "VeRi", "veri-776", params.model_dump(mode="json"), fill)


def vehicleid(params: VehicleIdParams, folder: Path) -> Path:
    """Write 12 + 6 vehicles with eight images each, and the lists of train and of the requested test."""

    def fill(top: Path) -> None:
        lines: dict[str, list[str]] = {"train": [], "test": []}
        for image, shot in enumerate(shots([*TRAIN, *TEST], 1, EACH), start=1):
            _write(top, f"{IMAGES}/{image:07d}.jpg", shot.person, 0)
            lines["train" if shot.person in TRAIN else "test"].append(f"{image:07d} {shot.person}\n")
        for part, files in list_files(params).items():
            _write_list(top / files[0], lines[part])

    return make_stand_in(folder / "VehicleID_V1.0", "vehicleid", params.model_dump(mode="json"), fill)


def veri_wild(params: VeriWildParams, folder: Path) -> Path:
    """Write 12 + 6 vehicles, one image from each of ten cameras, the lists of train and test, and vehicle_info.txt."""

    def fill(top: Path) -> None:
        files = {part: choices[0] for part, choices in wild_files(params).items()}
        lines: dict[str, list[str]] = {part: [] for part in files}
        lines["cameras"].append("id/image;Camera ID;Time;Model;Type;Color\n")
        for image, shot in enumerate(shots([*TRAIN, *TEST], WILD_EACH, 1), start=1):
            name, camera = f"{shot.person:05d}/{image:06d}", (image - 1) % WILD_CAMERAS
            _write(top, f"{WILD_IMAGES}/{name}.jpg", shot.person, camera)
            lines["cameras"].append(f"{name};{camera + 1};2018-03-11 16:05:45;model;SUV;white\n")
            lines[_wild_part(shot)].append(f"{name}.jpg\n")
        for part, file in files.items():
            _write_list(top / file, lines[part])

    return make_stand_in(folder / "VERI-Wild", "veri-wild", params.model_dump(mode="json"), fill)


def _wild_part(shot: Shot) -> str:
    return "train" if shot.person in TRAIN else "query" if is_query(shot, WILD_EACH) else "gallery"


def identity_folders(params: IdentityFoldersParams, folder: Path) -> Path:
    """Write 18 animals with eight images each, in four folders for cameras if the params say so."""

    def fill(top: Path) -> None:
        for shot in shots(range(1, ANIMALS + 1), OCCASIONS, EACH // OCCASIONS):
            camera = f"occasion{shot.camera + 1}" if params.cameras == "folder" else ""
            path = Path(f"animal{shot.person:02d}", camera, f"{shot.camera}-{shot.number}.jpg").as_posix()
            _write(top, path, ("animal", shot.person), shot.camera, "animal")

    return make_stand_in(folder / "identity-folders", "identity-folders", params.model_dump(mode="json"), fill)


def _write(top: Path, path: str, identity: object, camera: int, shown: Shown = "vehicle") -> None:
    write(top, path, identity, camera, landscape(path), shown=shown)


def _write_list(file: Path, lines: Iterable[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(lines), encoding="utf-8")
