"""Files of named arrays: .npz, .mat, .pt and folders of .npy. No code in them is executed."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data.pictures.images import memory_limit
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.tensors import load_pickle_safely

from . import matfile
from .names import Keys
from .pids import array_of

_BFLOAT = 2**8  # larger whole numbers may be rounded
_CLAIMS = "its declared size exceeds the file"
_PT_CURE = (
    "if you trust the file, load it in Python and save only tensors, numeric arrays, and lists of numbers or strings: "
    "torch.save({'query_features': ..., 'query_pids': ..., ...}, FILE)"
)
_NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
# Raised by zipfile and numpy for damaged files; RuntimeError for an encrypted archive.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
)


@dataclass(frozen=True)
class Source:
    """The keys of a file, and a function that reads the value of a key."""

    path: Path
    names: tuple[str, ...]
    read: Callable[[str], Any]


def value_of(source: Source, keys: Keys, role: str) -> Any:
    """Return the value of a role in the file. Raises DataError if two keys of the role have different values."""
    first, *others = keys.by_role[role]
    value = source.read(first)
    for other in others:
        if not _same(value, source.read(other)):
            raise DataError(
                f"{shown(source.path)}: {shown(first)!r} and {shown(other)!r} both mean {role} but differ; "
                "remove or rename one of them"
            )
    return value


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(np.array_equal(np.squeeze(np.asarray(one)), np.squeeze(np.asarray(other))))
    except (ValueError, TypeError, RuntimeError):
        return False


def matrix_of(source: Source, keys: Keys, role: str) -> NDArray[Any]:
    """Return the features of a role [N, D]. Raises DataError unless they are a matrix of real numbers."""
    return _matrix(source.path, keys.first(role), value_of(source, keys, role))


def _matrix(path: Path, name: str, given: Any) -> NDArray[Any]:
    value = array_of(path, name, given)
    if value.dtype.kind == "b":  # binary codes
        value = value.view(np.uint8)
    if value.dtype.kind not in "fiu":
        raise DataError(f"{shown(path)}: {shown(name)} must contain real numbers, not {value.dtype}")
    if value.ndim != 2:
        flat = value.ndim > 2 and value.size and set(value.shape[2:]) == {1}
        cure = f"reshape it to {value.shape[:2]}" if flat else "save one row per image (for distances, per query)"
        raise DataError(f"{shown(path)}: {shown(name)} must have two dimensions, not shape {value.shape}; {cure}")
    return value


def open_source(path: Path) -> Source | None:
    """Return the named arrays of a file or folder, or None for another type of file.

    Raises DataError for a damaged file. A damaged array raises when it is read.
    """
    if path.is_dir():
        return _folder(path)
    openers = {".npz": _npz, ".mat": _mat, ".pt": _pt, ".pth": _pt}
    opener = openers.get(path.suffix.lower())
    return opener(path) if opener else None


def _npz(path: Path) -> Source:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [(info.filename.removesuffix(".npy"), info) for info in archive.infolist()]
    except _DAMAGED as error:
        raise _unreadable(path, "its list of arrays", error, "save it again with numpy.savez") from error

    members = dict(entries)
    if twice := [name for name, info in entries if members[name] is not info]:
        raise DataError(f"{shown(path)}: contains {shown(twice[0])} twice; save it again with numpy.savez")

    def read(name: str) -> Any:
        info = members[name]
        with zipfile.ZipFile(path) as archive:
            return _read_array(lambda: archive.open(info), info.file_size)

    return Source(path, tuple(members), _explained(path, read, "{}.npy", "save it again with numpy.savez"))


def _folder(path: Path) -> Source:
    """Return the .npy files of a folder by name."""
    try:
        files = {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() == ".npy" and file.is_file()}
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    if not files:
        others = sorted(file.name for file in path.iterdir() if file.suffix.lower() in (".npz", ".mat", ".pt", ".pth"))
        hint = f"; did you mean {shown(path / others[0])}?" if others else ""
        raise DataError(
            f"{shown(path)}: this folder has no .npy files; score reads folders of query_features.npy, query_pids.npy, "
            f"..., and single .npz, .mat, .pt, .csv and .parquet files{hint}"
        )

    return Source(
        path, tuple(files), _explained(path, lambda name: _npy(files[name]), "{}.npy", "save it again with numpy.save")
    )


def read_npy(folder: Path, name: str) -> Any:
    """Return the array of a .npy file below a folder. Raises DataError for a damaged file or pickled objects."""
    return _explained(folder, lambda file: _npy(folder / file), "{}", "save it again with numpy.save")(name)


def _npy(file: Path) -> Any:
    size = file.stat().st_size
    if not size:
        raise ValueError("it is empty (0 bytes)")
    return _read_array(lambda: file.open("rb"), size)


def _read_array(opened: Callable[[], AbstractContextManager[Any]], size: int) -> Any:
    if size > 2 * memory_limit():
        raise MemoryError(f"{size} bytes exceed half of this machine's memory")
    with opened() as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _explained(path: Path, read: Callable[[str], Any], what: str, cure: str) -> Callable[[str], Any]:
    """Wrap a reader so that its errors become DataError with a sentence."""

    def explained(name: str) -> Any:
        try:
            return read(name)
        except _DAMAGED as error:
            if "allow_pickle" in str(error):
                raise DataError(
                    f"{shown(path)}: {shown(what.format(name))} contains pickled Python objects, which could run code; "
                    "save numbers, or strings with .astype(str)"
                ) from error
            raise _unreadable(path, what.format(name), error, cure) from error

    return explained


def _unreadable(path: Path, what: str, error: BaseException, cure: str) -> DataError:
    return DataError(f"{shown(path)}: {shown(what)} cannot be read ({_first_line(error)}); {cure}")


def _first_line(error: BaseException) -> str:
    return shown((str(error).strip() or type(error).__name__).splitlines()[0])


# ------------------------------------------------------------------ MATLAB
def _mat(path: Path) -> Source:
    def variables(wanted: tuple[str, ...]) -> Mapping[str, matfile.Variable]:
        try:
            return _variables(path, wanted)
        except _DAMAGED as error:
            raise DataError(f"{shown(path)}: truncated or damaged .mat file ({_first_line(error)})") from error

    def read(name: str) -> Any:
        variable = variables((name,))[name]
        if variable.values is None:
            raise DataError(
                f"{shown(path)}: {shown(name)} must contain real numbers or strings, not {variable.kind}; "
                "save matrices, strings, and cells of strings"
            )
        return variable.values

    return Source(path, tuple(variables(())), read)


def _variables(path: Path, wanted: tuple[str, ...]) -> Mapping[str, matfile.Variable]:
    with path.open("rb") as file:
        start = file.read(matfile.HEADER)
    if b"\0" in start[:4]:
        return _level_4(path, wanted)
    if matfile.is_level_5(start):
        return matfile.read_variables(path, wanted, 2 * memory_limit())
    kind = "a MATLAB 7.3 (HDF5) file" if start.startswith((b"MATLAB 7.3", b"\x89HDF")) else "not a MATLAB file"
    raise DataError(f"{shown(path)}: {kind}; save it in MATLAB with -v7, or with scipy.io.savemat")


def _level_4(path: Path, wanted: tuple[str, ...]) -> Mapping[str, matfile.Variable]:
    """Read a level 4 file with scipy, whose reader is in Python, so that damaged lengths are safe."""
    import scipy.io

    try:
        kinds = {name: kind for name, _, kind in scipy.io.whosmat(path)}
        real = [name for name, kind in kinds.items() if name in wanted and kind in (*_NUMBERS, "char")]
        found = scipy.io.loadmat(path, variable_names=real) if real else {}
    except Exception as error:  # of all kinds
        raise matfile.DamagedMatError(_first_line(error)) from error
    texts = {name: np.char.rstrip(value, " \0") for name, value in found.items() if kinds.get(name) == "char"}
    return {name: matfile.Variable(kind, texts.get(name, found.get(name))) for name, kind in kinds.items()}


# ------------------------------------------------------------------ torch
def _pt(path: Path) -> Source:
    found = load_pickle_safely(path, _PT_CURE)
    if not isinstance(found, dict):
        raise DataError(
            f"{shown(path)}: contains a {type(found).__name__}, not a dictionary of tensors; "
            "save it with torch.save({'query_features': ..., 'query_pids': ..., ...}, file)"
        )
    values = {str(key): value for key, value in found.items()}
    for key, inner in found.items():  # {"query": {"features": ..., "pids": ...}, "gallery": ...}
        for name, value in inner.items() if isinstance(inner, dict) else ():
            if f"{key}_{name}" in found:
                raise DataError(
                    f"{shown(path)}: {shown(f'{key}_{name}')!r} is also {shown(name)!r} of {shown(str(key))!r}; remove "
                    "one of them"
                )
            values[f"{key}_{name}"] = value
    size = path.stat().st_size
    return Source(path, tuple(values), lambda name: _array(path, name, values[name], size))


def _array(path: Path, name: str, value: Any, size: int) -> Any:
    """Convert a tensor, array or list to numpy; `size` is the file's size in bytes."""
    try:
        return _listed(value, size) if isinstance(value, list | tuple) else _plain(value, size)
    except (TypeError, ValueError, RuntimeError) as error:  # sparse, quantized, 8-bit float, or without storage
        raise DataError(f"{shown(path)}: {shown(name)} is not a plain array ({_first_line(error)})") from None


def _plain(value: Any, size: int) -> Any:
    """Convert a tensor to an array. A pickle may declare any shape for any storage, so the size is checked."""
    import torch

    claimed = value.nbytes if isinstance(value, np.ndarray) else 0
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        claimed = value.numel() * value.element_size()
    if claimed > size:
        raise ValueError(_CLAIMS)
    if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
        numbers: NDArray[Any] = value.float().numpy()
        if numbers.squeeze().ndim < 2 and (numbers == np.round(numbers)).all() and (np.abs(numbers) >= _BFLOAT).any():
            raise ValueError(f"bfloat16 holds whole numbers exactly only below {_BFLOAT}; save labels as int64")
        return numbers
    return value.numpy() if isinstance(value, torch.Tensor) else value


def _listed(value: Any, size: int) -> Any:
    """Convert a list of numbers, strings or rows to one array. A pickle may repeat one item a million times."""
    import torch

    if any(isinstance(item, torch.Tensor | np.ndarray) for item in value):
        rows = [np.asarray(_plain(item, size)) for item in value]
        if len({row.shape for row in rows}) > 1:
            raise ValueError("it is a list of arrays of different shapes; concatenate them with torch.cat")
        if sum(row.nbytes for row in rows) > size:
            raise ValueError(_CLAIMS)
        return np.stack(rows)
    nested: list[Any] = [value, *(item for item in value if isinstance(item, list | tuple))]
    total = sum(map(len, nested))
    if total > 2 * size:
        raise ValueError(_CLAIMS)
    if any(isinstance(item, list | tuple | dict) for row in nested[1:] for item in row):
        raise ValueError("its lists are nested too deeply")
    longest = max((len(item) for row in nested for item in row if isinstance(item, str | bytes)), default=0)
    if 4 * longest * total > 2 * memory_limit():
        raise ValueError(_CLAIMS)
    return np.asarray(value)
