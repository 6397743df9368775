"""VIPeR (Gray et al., 2007), PRID 2011 single-shot (Hirzer et al., SCIA 2011), GRID (Loy et al., CVPR 2009) and CUHK01
(Li et al., ACCV 2012).

Half of the persons are for training, or 871 of CUHK01's. The splits are part of this plugin, so that all users get the
same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reidbench.data import Dataset, FileNameRule, read_folder
from reidbench.data.walk import hidden_notes, stray_notes, twin_notes
from reidbench.errors import DataError
from reidbench.scoring import matfile

from .common import fingerprint_parts, finish, need_picture, place, sorted_split
from .params import Cuhk01Params, GridParams, SplitParams, ViperParams
from .splits import training_persons

VIPER_NAME = FileNameRule(r"(?P<pid>[0-9]+)_[0-9]+", shift=1)  # its first person is 000, a distractor without the shift
PRID_NAME = FileNameRule(r"person_(?P<pid>[0-9]{4})")
GRID_NAME = FileNameRule(r"(?P<pid>[0-9]+)_(?P<cam>[1-8])_\w+")
GRID_TRAIN = 125
CUHK01_NAME = FileNameRule(r"(?P<pid>[0-9]{4})(?P<cam>00[1-4])")  # images 1 and 2 are from camera A, 3 and 4 from B
CUHK01_INSIDE = ("campus", "CUHK01/campus", "cuhk01/campus")
CUHK01_SPLITS = {485: "cuhk01", 871: "cuhk01-871"}
GRID_PARTITIONS = "features_and_partitions.mat"
PRID_SHARED = 200  # persons 1 to 200 are in both cameras; larger numbers are different persons in each
Row = tuple[str, int, int]  # path, pid, camid


class _Reader:
    """Reads flat folders, or the root itself (""), and records files that do not match."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.strays: dict[str, list[str]] = {}
        self.notes: list[str] = []

    def rows(self, part: str, folder: str, rule: FileNameRule, example: str, camera: int | None = None) -> list[Row]:
        """Return (path, pid, camid) of a folder, sorted; the camera is given, or in the name."""
        split, strays = read_folder(self.root, folder, rule, example=example)
        if strays:
            self.strays[part] = [f"{folder}/{name}" if folder else name for name in strays]
        where = folder or self.root.name
        self.notes += stray_notes(where, strays, rule.why_not) + hidden_notes(where, self.root / folder)
        self.notes += twin_notes(where, split.paths)
        return [(s.path, s.pid, s.camid if camera is None else camera) for s in split.samples]

    def dataset(self, name: str, parts: Mapping[str, list[Row]]) -> Dataset:
        splits = {part: sorted_split(self.root, rows) for part, rows in parts.items()}
        train, query, gallery = (splits[part] for part in ("train", "query", "gallery"))
        return Dataset(name, self.root, train, query, gallery, tuple(self.notes), strays=self.strays)


def open_viper(params: ViperParams, root: Path, cache: Path) -> Dataset:
    """Read VIPeR: cam_a and cam_b with the same 632 persons, one image each."""
    reader = _Reader(place(root, cache, "VIPeR"))
    a = reader.rows("query", "cam_a", VIPER_NAME, "000_45.bmp", 0)
    b = reader.rows("gallery", "cam_b", VIPER_NAME, "000_45.bmp", 1)
    train = _trained("viper", params, a, b)
    query, gallery = (a, b) if params.direction == "a-to-b" else (b, a)
    parts = {"train": _of(a + b, train), "query": _but(query, train), "gallery": _but(gallery, train)}
    return finish(reader.dataset("viper", parts), params, "viper")


def open_prid(params: SplitParams, root: Path, cache: Path) -> Dataset:
    """Read PRID 2011 single-shot: 100 persons of camera A as queries, 649 of camera B as gallery."""
    root = place(root, cache)
    reader = _Reader(next((root / n for n in ("single_shot", "prid_2011/single_shot") if (root / n).is_dir()), root))
    a = reader.rows("query", "cam_a", PRID_NAME, "person_0001.png", 0)
    b = reader.rows("gallery", "cam_b", PRID_NAME, "person_0001.png", 1)
    shared = [row for row in a if row[1] <= PRID_SHARED]
    train = _trained("prid2011", params, shared, [row for row in b if row[1] <= PRID_SHARED])
    parts = {"train": _of(shared + b, train), "query": _but(shared, train), "gallery": _but(b, train)}
    return finish(reader.dataset("prid2011", parts), params, "prid2011")


def open_grid(params: GridParams, root: Path, cache: Path) -> Dataset:
    """Read GRID: 250 persons in probe and gallery, 775 distractors (0000) in the gallery, cameras 1 to 8."""
    reader = _Reader(place(root, cache, "underground_reid"))
    probe = reader.rows("query", "probe", GRID_NAME, "0001_1_25004_107_32_106_221.jpeg")
    gallery = reader.rows("gallery", "gallery", GRID_NAME, "0001_1_25004_107_32_106_221.jpeg")
    persons = [row for row in gallery if row[1] > 0]
    if params.partition == "official":
        train = _official(reader.root, params.split)
    else:
        train = _trained("grid", params, probe, persons)
    parts = {"train": _of(probe + persons, train), "query": _but(probe, train), "gallery": _but(gallery, train)}
    return finish(reader.dataset("grid", parts), params, "grid")


def open_cuhk01(params: Cuhk01Params, root: Path, cache: Path) -> Dataset:
    """Read CUHK01: 971 persons, two images from each of two cameras in one folder."""
    reader = _Reader(place(root, cache, *CUHK01_INSIDE))
    rows = [(path, pid, shot // 2) for path, pid, shot in reader.rows("all", "", CUHK01_NAME, "0001001.png")]
    a, b = ([row for row in rows if row[2] == camera] for camera in (0, 1))
    train = _trained(CUHK01_SPLITS[params.train], params, a, b)
    query, gallery = (a, b) if params.direction == "a-to-b" else (b, a)
    parts = {"train": _of(rows, train), "query": _but(query, train), "gallery": _but(gallery, train)}
    return finish(reader.dataset("cuhk01", parts), params, f"cuhk01:{params.train}")


def _trained(name: str, params: SplitParams, first: list[Row], second: list[Row]) -> set[int]:
    """Return the training persons of the split file. Raises DataError if a person is in one camera only."""
    one, other = ({pid for _, pid, _ in rows} for rows in (first, second))
    alone = sorted(one ^ other)
    if alone:
        raise DataError(
            f"{name}: {len(alone)} persons are in one camera only, first {alone[:5]}; the copy is incomplete"
        )
    known = sorted(one)
    return {known[rank] for rank in training_persons(name, params.split, len(known))}


def _official(root: Path, split: int) -> set[int]:
    file = root / GRID_PARTITIONS
    if not file.is_file():
        raise DataError(f"{file}: no such file; it contains the official partitions")
    try:
        return _persons_of(matfile.load(file)["trainIdxAll"].ravel()[split])
    except (KeyError, IndexError, ValueError, NotImplementedError) as error:
        raise DataError(f"{file}: not the partitions of GRID: {error}") from None


def _persons_of(cell: np.ndarray) -> set[int]:
    """Return the 125 persons of a partition: in the release the third field of a struct, otherwise plain numbers."""
    fields = [cell]
    if cell.dtype.names:
        record = cell.ravel()[0]
        fields = sorted((record[name] for name in cell.dtype.names), key=lambda field: field is not record[2])
    for field in fields:
        numbers = np.ravel(field)
        whole = numbers.dtype.kind in "iuf" and bool((numbers == np.rint(numbers)).all())
        if whole and len(set(numbers.tolist())) == GRID_TRAIN and numbers.min() >= 1:
            return {int(number) for number in numbers}
    raise ValueError(f"no field contains {GRID_TRAIN} persons")


def _of(rows: list[Row], persons: set[int]) -> list[Row]:
    return [row for row in rows if row[1] in persons]


def _but(rows: list[Row], persons: set[int]) -> list[Row]:
    return [row for row in rows if row[1] not in persons]


def fingerprint_viper(params: ViperParams, root: Path) -> str:
    """Return names and contents of both cameras' images."""
    return fingerprint_parts(params, root, "cam_a", "cam_b", inside=("VIPeR",))


def fingerprint_prid(params: SplitParams, root: Path) -> str:
    """Return names and contents of both cameras' images."""
    return fingerprint_parts(params, root, "cam_a", "cam_b", inside=("single_shot", "prid_2011/single_shot"))


def fingerprint_grid(params: GridParams, root: Path) -> str:
    """Return names and contents of probe and gallery, and the partitions."""
    return fingerprint_parts(params, root, "probe", "gallery", files=(GRID_PARTITIONS,), inside=("underground_reid",))


def fingerprint_cuhk01(params: Cuhk01Params, root: Path) -> str:
    """Return names and contents of the images."""
    return fingerprint_parts(params, root, inside=CUHK01_INSIDE, check=need_picture)
