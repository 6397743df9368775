"""Stand-ins with persons and splits in separate files: MSMT17 and CUHK03, and manifests."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np

from reidbench.data import make_stand_in
from reidbench.errors import DataError
from reidbench.files.names import shown

from ..cuhk03 import CONFIG, TESTSETS
from ..msmt17 import FOLDERS, INSIDE, LISTS
from ..params import CuhkClassicParams, CuhkParams, ManifestParams, MsmtParams
from .figures import write
from .people import TEST, TRAIN, Shot, is_query, shots

MSMT_CAMERAS = 15
MAT_TEXT = b"MATLAB 5.0 MAT-file, a stand-in written by reidbench"
MAT_TEXT_BYTES = 116  # of the header, in which scipy writes the time


def _msmt(name: str, params: MsmtParams, folder: Path) -> Path:
    """Write 12 persons of train and val, one image from each of 15 cameras; 6 of query and gallery, numbered from 0."""

    def fill(top: Path) -> None:
        lists: dict[str, list[str]] = {file: [] for file in LISTS}
        for persons, part in ((TRAIN, FOLDERS[name][0]), (TEST, FOLDERS[name][1])):
            for shot in shots(persons, MSMT_CAMERAS, 1):
                label = shot.person - persons.start
                path = f"{label:04d}/{_msmt_name(label, shot)}"
                write(top, f"{part}/{path}", shot.person, shot.camera)
                lists[_msmt_list(shot)].append(f"{path} {label}\n")
        for file, lines in lists.items():
            (top / file).write_text("".join(lines), encoding="utf-8")

    return make_stand_in(folder / INSIDE[name], name, params.model_dump(mode="json"), fill)


msmt17_v1 = partial(_msmt, "msmt17-v1")
msmt17_v2 = partial(_msmt, "msmt17-v2")


def _msmt_name(label: int, shot: Shot) -> str:
    """Return a name: person, its image, camera, day and time, frame and box; a person's last image has a suffix."""
    extra = "_ex" if shot.camera == MSMT_CAMERAS - 1 else ""
    return f"{label:04d}_{shot.camera:03d}_{shot.camera + 1:02d}_0303morning_{label:04d}_0{extra}.jpg"


def _msmt_list(shot: Shot) -> str:
    """Return the list file of an image; a seventh of train is val, from all cameras."""
    train, val, query, gallery = LISTS
    if shot.person in TRAIN:
        return val if (shot.person + shot.camera) % 7 == 0 else train
    return query if is_query(shot, MSMT_CAMERAS) else gallery


def cuhk03_np(params: CuhkParams, folder: Path) -> Path:
    """Write 12 + 6 persons, four images from both cameras of their pair, and the .mat of indices; only the requested
    boxes."""

    def fill(top: Path) -> None:
        names, labels, parts = [], [], []
        for shot in shots([*TRAIN, *TEST], 2, 4):
            names.append(_cuhk_name(shot))
            labels.append(shot.person)
            parts.append("train" if shot.person in TRAIN else "query" if is_query(shot, 2) else "gallery")
            write(top, f"images_{params.boxes}/{names[-1]}", shot.person, _cuhk_camera(shot))
        filelist = np.empty((len(names), 1), dtype=object)
        filelist[:, 0] = names
        index = {f"{part}_idx": _column(np.flatnonzero(np.array(parts) == part) + 1) for part in sorted(set(parts))}
        camera = _column([shot.camera + 1 for shot in shots([*TRAIN, *TEST], 2, 4)])
        save_mat(
            top / CONFIG.format(params.boxes),
            {"filelist": filelist, "labels": _column(labels), "camId": camera, **index},
        )

    return make_stand_in(folder / "CUHK03-NP", "cuhk03-np", params.model_dump(mode="json"), fill)


def cuhk03_classic(params: CuhkClassicParams, folder: Path) -> Path:
    """Write 18 persons, four images from both cameras of their pair, and 20 splits of 6 test persons."""

    def fill(top: Path) -> None:
        for shot in shots([*TRAIN, *TEST], 2, 4):
            write(top, f"images_{params.boxes}/{_cuhk_name(shot)}", shot.person, _cuhk_camera(shot))
        tested = ((split, 1 + (split + step) % TEST[-1]) for split in range(20) for step in range(len(TEST)))
        lines = [f"{split},{_pair(person)},{person}\n" for split, person in tested]
        (top / TESTSETS).write_text("".join(lines), encoding="utf-8")

    return make_stand_in(folder / "CUHK03", "cuhk03-classic", params.model_dump(mode="json"), fill)


def _cuhk_name(shot: Shot) -> str:
    """Return a name: pair of cameras, person, first or second camera, image."""
    return f"{_pair(shot.person)}_{shot.person:03d}_{shot.camera + 1}_{shot.number + 1:02d}.png"


def _pair(person: int) -> int:
    return 1 + person % 5


def _cuhk_camera(shot: Shot) -> int:
    return 2 * _pair(shot.person) + shot.camera


def _column(numbers: object) -> np.ndarray:
    return np.asarray(numbers, dtype=np.float64).reshape(-1, 1)  # MATLAB stores numbers as doubles


def save_mat(file: Path, variables: dict[str, np.ndarray]) -> None:
    """Write a .mat file of level 5 without the time in its header."""
    import scipy.io

    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=True)
    data = stream.getvalue()
    file.write_bytes(MAT_TEXT.ljust(MAT_TEXT_BYTES) + data[MAT_TEXT_BYTES:])


def csv_manifest(params: ManifestParams, folder: Path) -> Path:
    """Write manifest.csv of 12 + 6 persons and six cameras, and its images in `images`. Returns the manifest.

    It has all labels, so that a rehearsal tests every rule. Raises DataError if `images` is not below the manifest's
    folder.
    """
    if Path(params.images).is_absolute() or ".." in Path(params.images).parts:
        raise DataError(
            f"csv-manifest: no stand-in for images: {shown(params.images)}, which is outside the manifest's folder"
        )

    def fill(top: Path) -> None:
        lines = ["path,pid,split,camid,clothes,modality,tracklet,attributes\n"]
        for shot in shots([*TRAIN, *TEST], 6, 2):
            part = "train" if shot.person in TRAIN else "query" if is_query(shot, 6) else "gallery"
            path = f"{part}/{shot.person}-{shot.camera}-{shot.number}.jpg"
            write(top / params.images, path, shot.person, shot.camera)
            lines.append(f"{path},{shot.person},{part},{shot.camera},{_beyond(shot, part)}\n")
        (top / "manifest.csv").write_text("".join(lines), encoding="utf-8")

    return make_stand_in(folder / "csv-manifest", "csv-manifest", params.model_dump(mode="json"), fill) / "manifest.csv"


def _beyond(shot: Shot, part: str) -> str:
    """Return label cells: two outfits per person, visible and infrared cameras, a tracklet per camera and part."""
    tracklet = 2 * (6 * shot.person + shot.camera) + (part == "query")
    modality = "visible" if shot.camera < 3 else "infrared"
    return f"{shot.camera % 2},{modality},{tracklet},bag={'yes' if shot.person % 2 else 'no'}"
