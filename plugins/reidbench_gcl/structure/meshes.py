"""Bodies and their parameters from a user's files: what cannot be one is refused in a sentence that names the file."""

from __future__ import annotations

import importlib
import io
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.data import HiddenSplit
from reidbench.errors import DataError

MESH_SUFFIXES = (".npz", ".obj", ".ply", ".glb")
MAX_BYTES = 2**30  # of a file, and of what an .npz unpacks to
MAX_VERTICES, MAX_FACES = 1_000_000, 2_000_000
MAX_COORDINATE = 1e6  # beyond it a float says little about a body's form
# What numpy and trimesh raise for files that are something else, cut short, or lie about their size.
UNREADABLE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, EOFError, MemoryError, OverflowError,
    NotImplementedError, AssertionError, RecursionError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """`vertices` [V, 3] float64, triangles `faces` [F, 3] int64, and HMR's `cam` (s, tx, ty) where it is known.

    `file` is where they are from.
    """

    file: Path
    vertices: np.ndarray
    faces: np.ndarray
    cam: np.ndarray | None = None


def read_mesh(file: Path) -> Mesh:
    """A body of an .npz with `v` [V, 3], `f` [F, 3] and perhaps `cam` [3], or of an .obj, .ply or .glb by trimesh.

    Raises DataError, naming the file, for what cannot be read, is too large, has coordinates that are not finite
    or faces of vertices that are not there.
    """
    _check_bytes(file)
    if file.suffix == ".npz":
        found = read_arrays(file, ("v", "f"), ("cam",))
        return checked_mesh(file, found["v"], found["f"], found.get("cam"))
    trimesh = _trimesh(file)
    try:
        # From memory and not by its path, so that no file beside it is followed; as it is, so that nothing merges.
        data = io.BytesIO(file.read_bytes())
        loaded = trimesh.load(data, file_type=file.suffix[1:], force="mesh", process=False)
        vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces)
    except UNREADABLE as error:
        raise DataError(f"{file}: no mesh that can be read: {error or type(error).__name__}") from None
    return checked_mesh(file, vertices, faces)


def checked_mesh(file: Path, vertices: np.ndarray, faces: np.ndarray, cam: np.ndarray | None = None) -> Mesh:
    """The mesh, or a DataError that says what is wrong with it."""
    if vertices.ndim != 2 or vertices.shape[1] != 3 or len(vertices) == 0:
        raise DataError(f"{file}: vertices of shape {list(vertices.shape)} are not [V, 3]")
    if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0 or not np.issubdtype(faces.dtype, np.integer):
        raise DataError(f"{file}: faces are {faces.dtype} {list(faces.shape)} and not whole numbers [F, 3]")
    if len(vertices) > MAX_VERTICES or len(faces) > MAX_FACES:
        raise DataError(
            f"{file}: {len(vertices)} vertices and {len(faces)} faces are too many for a body "
            f"(at most {MAX_VERTICES} and {MAX_FACES}): simplify it"
        )
    if not (np.abs(vertices) <= MAX_COORDINATE).all():  # false for NaN too
        raise DataError(f"{file}: some vertices are not finite or beyond {MAX_COORDINATE:g}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise DataError(
            f"{file}: a face has vertex {faces.min() if faces.min() < 0 else faces.max()} of {len(vertices)}"
        )
    if cam is not None:
        cam = checked_cam(file, cam)
    return Mesh(file, vertices.astype(np.float64), faces.astype(np.int64), cam)


def checked_cam(file: Path, cam: np.ndarray) -> np.ndarray:
    """HMR's camera [3] as float64. Raises DataError when it cannot be one."""
    if cam.shape != (3,) or not np.isfinite(cam).all() or cam[0] <= 0:
        raise DataError(f"{file}: cam {cam.tolist()} is no (s, tx, ty) with a positive s")
    return cam.astype(np.float64)


def read_arrays(file: Path, required: Sequence[str], optional: Sequence[str] | None = ()) -> dict[str, np.ndarray]:
    """The named arrays of an .npz: finite numbers, and strings for `names`. `optional` None stands for all that it has.

    Pickled members are never loaded. Raises DataError, naming the file, for whatever else there is.
    """
    _check_bytes(file)
    try:
        with zipfile.ZipFile(file) as members:
            unpacked = sum(member.file_size for member in members.infolist())
        if unpacked > MAX_BYTES:
            raise DataError(f"{file}: unpacks to {unpacked} bytes, more than {MAX_BYTES}")
        with np.load(file, allow_pickle=False) as archive:
            lacking = [name for name in required if name not in archive.files]
            if lacking:
                raise DataError(
                    f"{file}: no {', '.join(lacking)} in it; it has {', '.join(archive.files) or 'nothing'}"
                )
            names = archive.files if optional is None else [*required, *(n for n in optional if n in archive.files)]
            found = {name: archive[name] for name in names}
    except UNREADABLE as error:
        raise DataError(f"{file}: no .npz of plain arrays that can be read: {error or type(error).__name__}") from None
    for name, array in found.items():
        if name == "names" and array.dtype.kind == "U":
            continue
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise DataError(f"{file}: {name} is not an array of finite numbers")
    return found


def files_of_images(split: HiddenSplit, folder: Path, suffixes: Sequence[str]) -> dict[int, Path]:
    """The file of each image, joined by stem, anywhere below `folder`; images without one are not in it.

    Raises DataError when two files are for one image.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix in suffixes and file.is_file())
    found: dict[int, Path] = {}
    for index, file in zip(split.match([file.name for file in files], by="stem").tolist(), files, strict=True):
        if index >= 0 and found.setdefault(index, file) != file:
            raise DataError(f"{file}: {found[index]} is for the same image: leave one")
    return found


class ImageArrays:
    """Named arrays of each image: of one .npz per image, or of one .npz with `names` [M] and arrays [M, ...]."""

    def __init__(
        self,
        split: HiddenSplit,
        folder: Path | None,
        file: Path | None,
        required: Sequence[str],
        optional: Sequence[str] | None = (),
    ) -> None:
        self._required, self._optional = required, optional
        self._rows: dict[int, int] = {}
        self._table: dict[str, np.ndarray] = {}
        self._files: dict[int, Path] = {}
        if folder is not None:
            self._files = files_of_images(split, folder, (".npz",))
        if file is not None:
            self._read_table(split, file)

    def _read_table(self, split: HiddenSplit, file: Path) -> None:
        table = read_arrays(file, ("names", *self._required), self._optional)
        names = table.pop("names")
        wrong = [name for name, array in table.items() if array.shape[:1] != names.shape]
        if names.dtype.kind != "U" or names.ndim != 1 or wrong:
            raise DataError(f"{file}: names must be strings [M], and {', '.join(wrong) or 'they'} are not as many")
        for row, index in enumerate(split.match(names.tolist(), by="stem").tolist()):
            if index >= 0 and self._rows.setdefault(index, row) != row:
                raise DataError(f"{file}: rows {self._rows[index]} and {row} are for the same image")
        self._table, self._files = table, dict.fromkeys(self._rows, file)

    def missing(self, count: int) -> list[int]:
        """Those of the images 0 to `count` that have no parameters."""
        return [index for index in range(count) if index not in self._files]

    def of(self, index: int) -> tuple[Path, dict[str, np.ndarray]]:
        """Where an image's arrays are from, and what they are. Raises DataError when its file is none."""
        file = self._files[index]
        if index in self._rows:
            return file, {name: array[self._rows[index]] for name, array in self._table.items()}
        return file, read_arrays(file, self._required, self._optional)


def _check_bytes(file: Path) -> None:
    try:
        size = file.stat().st_size
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    if size > MAX_BYTES:
        raise DataError(f"{file}: {size} bytes are too large for a body (at most {MAX_BYTES})")


def _trimesh(file: Path) -> Any:
    try:
        return importlib.import_module("trimesh")  # by name, for it is an extra
    except ImportError:
        raise DataError(f"{file}: reading {file.suffix} needs the extra: pip install 'reidbench[mesh]'") from None
