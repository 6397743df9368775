"""Stand-ins for training only: LUPerson, any folder of images, RandPerson; and ClonedPerson."""

from __future__ import annotations

import importlib.util
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reidbench.data import make_stand_in

from ..params import CheckedParams, ClonedPersonParams, PoolParams
from ..rendered import RANDPERSON_OFFSETS
from .figures import JPEG_QUALITY, draw, varying, write
from .people import TEST, TRAIN, is_query, shots

VIDEOS = ((1, 1, 1), (1, 2, 7), (34, 1, 341))  # country, city, video
PERSONS_OF_A_VIDEO, PICTURES_OF_A_PERSON = 4, 4
MAP_BYTES = 2**26  # more than 48 images need
RANDPERSON_CAMERAS = 19
CLONED_SCENES, CLONED_CAMERAS = 6, 4  # cameras per scene


def luperson(params: CheckedParams, folder: Path) -> Path:
    """Write 48 images of 12 persons in 3 videos: `lmdb` with keys.pkl, as the authors distribute it.

    Without the package lmdb (of the extra `data`) the images are files in LUP/images, its unpacked form.
    """

    def fill(top: Path) -> None:
        if importlib.util.find_spec("lmdb"):
            _write_lmdb(top)
            return
        for key, person, video in _luperson():
            write(top / "LUP/images", f"{key}.jpg", person, video)

    return make_stand_in(folder / "LUPerson", "luperson", params.model_dump(mode="json"), fill)


def _luperson() -> Iterator[tuple[str, int, int]]:
    """Yield (key, person, number of the video) of each image, in the order of the keys."""
    for video, numbers in enumerate(VIDEOS):
        for picture in range(PERSONS_OF_A_VIDEO * PICTURES_OF_A_PERSON):
            person = PERSONS_OF_A_VIDEO * video + picture // PICTURES_OF_A_PERSON
            yield "{:02d}_{:02d}_{:04d}_{:08d}".format(*numbers, picture), person, video


def _write_lmdb(top: Path) -> None:
    lmdb: Any = importlib.import_module("lmdb")
    (top / "lmdb").mkdir()
    with (
        lmdb.open(str(top / "lmdb"), map_size=MAP_BYTES, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, person, video in _luperson():
            stream = io.BytesIO()
            draw(key, person, video, varying(key)).save(stream, "JPEG", quality=JPEG_QUALITY)
            transaction.put(key.encode(), stream.getvalue())
    (top / "keys.pkl").write_bytes(pickle.dumps([key for key, *_ in _luperson()], protocol=4))


def image_folder(params: PoolParams, folder: Path) -> Path:
    """Write 48 images of 12 persons in one folder, which is the root."""

    def fill(top: Path) -> None:
        for number, shot in enumerate(shots(TRAIN, 4, 1)):
            write(top / "images", f"{number:06d}.jpg", shot.person, shot.camera)

    return make_stand_in(folder / "image-folder", "image-folder", params.model_dump(mode="json"), fill) / "images"


def randperson(params: CheckedParams, folder: Path) -> Path:
    """Write 12 persons, one image from each of 19 cameras in 11 scenes."""

    def fill(top: Path) -> None:
        for shot in shots(TRAIN, RANDPERSON_CAMERAS, 1):
            scene = max(at for at, offset in enumerate(RANDPERSON_OFFSETS) if offset <= shot.camera)
            name = _scene_name(shot.person, scene, shot.camera - RANDPERSON_OFFSETS[scene], shot.camera)
            write(top, f"randperson_subset/{name}", shot.person, shot.camera, (256, 128))

    return make_stand_in(folder / "RandPerson", "randperson", params.model_dump(mode="json"), fill)


def clonedperson(params: ClonedPersonParams, folder: Path) -> Path:
    """Write 12 + 6 persons, one image from each of the 24 cameras of 6 scenes."""

    def fill(top: Path) -> None:
        cameras = CLONED_SCENES * CLONED_CAMERAS
        for shot in shots([*TRAIN, *TEST], cameras, 1):
            place = "train" if shot.person in TRAIN else "test/query" if is_query(shot, cameras) else "test/gallery"
            name = _scene_name(shot.person, shot.camera // CLONED_CAMERAS, shot.camera % CLONED_CAMERAS, shot.camera)
            write(top, f"{place}/{name}", shot.person, shot.camera, (256, 128))

    return make_stand_in(folder / "ClonedPerson", "clonedperson", params.model_dump(mode="json"), fill)


def _scene_name(person: int, scene: int, camera: int, frame: int) -> str:
    """Return a name: person, scene, camera in it, frame; the first person is 0."""
    return f"{person - 1:06d}_s{scene:02d}_c{camera:02d}_f{frame:06d}.jpg"
