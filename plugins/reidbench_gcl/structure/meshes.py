"""Bodies and their parameters from a user's files; an error names the file and what is wrong with it."""

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
MAX_BYTES = 2**30  # limit of a file's size, and of an .npz's unpacked size
MAX_VERTICES, MAX_FACES = 1_000_000, 2_000_000
MAX_COORDINATE = 1e6  # coordinates beyond this have too little precision in float32
# raised by numpy and trimesh for files of a different format, truncated files, and files with a wrong size
UNREADABLE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, EOFError, MemoryError, OverflowError,
    NotImplementedError, AssertionError, RecursionError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """`vertices` [V, 3] float64, triangles `faces` [F, 3] int64, and HMR's `cam` (s, tx, ty) if known.

    `file` is their source.
    """

    file: Path
    vertices: np.ndarray
    faces: np.ndarray
    cam: np.ndarray | None = None


def read_mesh(file: Path) -> Mesh:
    """Read a body: an .npz with `v` [V, 3], `f` [F, 3] and optionally `cam` [3], or an .obj, .ply or .glb by trimesh.

    Raises DataError, naming the file, if it cannot be read, is too large, has coordinates that are not finite or faces
    whose vertices do not exist.
    """
    _check_bytes(file)
    if file.suffix == ".npz":
        found = read_arrays(file, ("v", "f"), ("cam",))
        return checked_mesh(file, found["v"], found["f"], found.get("cam"))
    trimesh = _trimesh(file)
    try:
        # From memory and not by path, so that no file it refers to is opened; `process=False`, so that nothing is
        # merged.
        data = io.BytesIO(file.read_bytes())
        loaded = trimesh.load(data, file_type=file.suffix[1:], force="mesh", process=False)
        vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces)
    except UNREADABLE as error:
        raise DataError(f"{file}: cannot be read as a mesh: {error or type(error).__name__}") from None
    return checked_mesh(file, vertices, faces)


def checked_mesh(file: Path, vertices: np.ndarray, faces: np.ndarray, cam: np.ndarray | None = None) -> Mesh:
    """Return the mesh. Raises DataError if it is not a valid body."""
    if vertices.ndim != 2 or vertices.shape[1] != 3 or len(vertices) == 0:
        raise DataError(f"{file}: vertices have shape {list(vertices.shape)}, not [V, 3]")
    if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0 or not np.issubdtype(faces.dtype, np.integer):
        raise DataError(f"{file}: faces are {faces.dtype} {list(faces.shape)}, not whole numbers [F, 3]")
    if len(vertices) > MAX_VERTICES or len(faces) > MAX_FACES:
        raise DataError(
            f"{file}: {len(vertices)} vertices and {len(faces)} faces are too many for a body "
            f"(at most {MAX_VERTICES} and {MAX_FACES}): simplify it"
        )
    if not (np.abs(vertices) <= MAX_COORDINATE).all():  # false for NaN too
        raise DataError(f"{file}: some vertices are not finite or exceed {MAX_COORDINATE:g}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise DataError(
            f"{file}: a face has vertex {faces.min() if faces.min() < 0 else faces.max()}, but there are "
            f"{len(vertices)} vertices"
        )
    if cam is not None:
        cam = checked_cam(file, cam)
    return Mesh(file, vertices.astype(np.float64), faces.astype(np.int64), cam)


def checked_cam(file: Path, cam: np.ndarray) -> np.ndarray:
    """Return HMR's camera [3] as float64. Raises DataError if it is not a valid one."""
    if cam.shape != (3,) or not np.isfinite(cam).all() or cam[0] <= 0:
        raise DataError(f"{file}: cam {cam.tolist()} is not (s, tx, ty) with a positive s")
    return cam.astype(np.float64)


def read_arrays(file: Path, required: Sequence[str], optional: Sequence[str] | None = ()) -> dict[str, np.ndarray]:
    """Read the named arrays of an .npz: finite numbers, and strings for `names`. `optional` None reads all arrays.

    Pickled members are never loaded. Raises DataError, naming the file, for anything else.
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
                    f"{file}: {', '.join(lacking)} missing; it has {', '.join(archive.files) or 'no arrays'}"
                )
            names = archive.files if optional is None else [*required, *(n for n in optional if n in archive.files)]
            found = {name: archive[name] for name in names}
    except UNREADABLE as error:
        raise DataError(f"{file}: not an .npz of plain arrays: {error or type(error).__name__}") from None
    for name, array in found.items():
        if name == "names" and array.dtype.kind == "U":
            continue
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise DataError(f"{file}: {name} is not an array of finite numbers")
    return found


def files_of_images(split: HiddenSplit, folder: Path, suffixes: Sequence[str]) -> dict[int, Path]:
    """Return the file of each image, joined by stem, anywhere below `folder`; images without a file are omitted.

    Raises DataError if two files belong to one image.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix in suffixes and file.is_file())
    found: dict[int, Path] = {}
    for index, file in zip(split.match([file.name for file in files], by="stem").tolist(), files, strict=True):
        if index >= 0 and found.setdefault(index, file) != file:
            raise DataError(f"{file}: {found[index]} belongs to the same image: remove one of them")
    return found


class ImageArrays:
    """Named arrays of each image: from one .npz per image, or one .npz with `names` [M] and arrays [M, ...]."""

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
            raise DataError(f"{file}: names must be strings [M], and {', '.join(wrong) or 'they'} must have length M")
        for row, index in enumerate(split.match(names.tolist(), by="stem").tolist()):
            if index >= 0 and self._rows.setdefault(index, row) != row:
                raise DataError(
                    f"{file}: rows {self._rows[index]} and {row} belong to the same image: remove one of them"
                )
        self._table, self._files = table, dict.fromkeys(self._rows, file)

    def missing(self, count: int) -> list[int]:
        """Return which of the images 0 to `count` - 1 have no parameters."""
        return [index for index in range(count) if index not in self._files]

    def of(self, index: int) -> tuple[Path, dict[str, np.ndarray]]:
        """Return the file of an image's arrays, and the arrays. Raises DataError if the file cannot be read."""
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
        return importlib.import_module("trimesh")  # by name, since it is an extra
    except ImportError:
        raise DataError(f"{file}: reading {file.suffix} needs an extra: pip install 'reidbench[mesh]'") from None
