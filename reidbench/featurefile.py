"""Feature files of anybody's: .npz, .mat and .pt, read without executing anything in them."""

from __future__ import annotations

import difflib
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import matfile
from .data.images import memory_limit
from .data.names import shown
from .errors import DataError

Ints = NDArray[np.int64]

# Our names, and those of the pytorch_result.mat that Person_reID_baseline_pytorch writes.
LABELS = {
    "query_pids": "query_label",
    "query_camids": "query_cam",
    "gallery_pids": "gallery_label",
    "gallery_camids": "gallery_cam",
}
FEATURES = {"query_features": "query_f", "gallery_features": "gallery_f"}
_KNOWN = {*LABELS, *LABELS.values(), *FEATURES, *FEATURES.values(), "distances"}
_EXACT_FLOAT = 2.0**53
_NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
# What zipfile and numpy raise on bytes that are not what they should be; RuntimeError is an encrypted archive.
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
class Features:
    """One feature file: pids and camids (int64 [Q] and [G]), and features [Q, D] and [G, D] or distances [Q, G]."""

    path: Path
    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints
    query_features: NDArray[Any] | None = None
    gallery_features: NDArray[Any] | None = None
    distances: NDArray[Any] | None = None

    @property
    def labels(self) -> tuple[Ints, Ints, Ints, Ints]:
        """As the ranking functions take them."""
        return self.query_pids, self.query_camids, self.gallery_pids, self.gallery_camids


def read_features(path: Path | str) -> Features:
    """Read a .npz, .mat or .pt file; nothing in it is executed.

    Raises DataError, one sentence with the file and the key, for whatever is missing, damaged or of another type.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Mapping[str, Any]]] = {".npz": _npz, ".mat": _mat, ".pt": _pt, ".pth": _pt}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{shown(path)}: not a feature file by its name; score reads .npz, .mat and .pt")
    if not path.is_file():
        raise DataError(f"{shown(path)}: no such file")
    found = reader(path)
    labels = {name: _labels(path, name, _get(path, found, name, other)) for name, other in LABELS.items()}
    if "distances" in found:
        if both := [name for pair in FEATURES.items() for name in pair if name in found]:
            raise DataError(
                f"{shown(path)}: holds distances and {both[0]}; keep one of them, so that it is clear what is scored"
            )
        return Features(path, **labels, distances=_matrix(path, "distances", found["distances"]))
    features = {
        name: _matrix(path, name, _get(path, found, name, other, "distances")) for name, other in FEATURES.items()
    }
    return Features(path, **labels, **features)


def _npz(path: Path) -> dict[str, Any]:
    """The arrays score knows, and None for others; read member by member, so that a damaged one is named."""
    found: dict[str, Any] = {}
    member = "its list of arrays"
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                member = info.filename
                key = member.removesuffix(".npy")
                found[key] = None
                if key in _KNOWN:
                    if info.file_size > 2 * memory_limit():
                        raise MemoryError(f"{info.file_size} bytes are more than half of this machine's memory")
                    with archive.open(info) as file:
                        found[key] = np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGED as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{shown(path)}: {shown(member)} holds pickled Python objects, which could run code"
            ) from error
        raise DataError(
            f"{shown(path)}: {shown(member)} cannot be read ({_first_line(error)}); save it again with numpy.savez"
        ) from error
    return found


def _mat(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            start = file.read(matfile.HEADER)
        if b"\0" in start[:4]:
            found = _mat_4(path)
        elif matfile.is_level_5(start):
            found = matfile.read_variables(path, _KNOWN, 2 * memory_limit())
        else:
            raise DataError(f"{shown(path)}: a MATLAB 7.3 (HDF5) file, or none of MATLAB's; save it with -v7 instead")
    except _DAMAGED as error:
        raise DataError(f"{shown(path)}: not a whole .mat file ({_first_line(error)})") from error
    for name, variable in found.items():
        if name in _KNOWN and variable.values is None:
            raise DataError(f"{shown(path)}: {name} must hold real numbers, not {variable.kind}")
    return {name: variable.values for name, variable in found.items()}


def _mat_4(path: Path) -> dict[str, matfile.Variable]:
    """A file of level 4, which scipy reads in Python: no length in it can lead outside of it."""
    import scipy.io

    try:
        kinds = {name: kind for name, _, kind in scipy.io.whosmat(path)}
        real = [name for name, kind in kinds.items() if name in _KNOWN and kind in _NUMBERS]
        found = scipy.io.loadmat(path, variable_names=real) if real else {}
    except Exception as error:  # of all kinds
        raise matfile.DamagedMatError(_first_line(error)) from error
    return {name: matfile.Variable(kind, found.get(name)) for name, kind in kinds.items()}


def _pt(path: Path) -> dict[str, Any]:
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(
            f"{shown(path)}: not a file of plain tensors that torch loads safely ({_first_line(error)})"
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{shown(path)}: holds a {type(found).__name__}, not a dictionary of tensors")
    size = path.stat().st_size
    return {str(key): _array(path, str(key), value, size) if key in _KNOWN else None for key, value in found.items()}


def _first_line(error: BaseException) -> str:
    return shown((str(error).strip() or type(error).__name__).splitlines()[0])


def _array(path: Path, name: str, value: Any, size: int) -> Any:
    """A tensor as numpy has it; `size` bytes are what the file has."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    try:
        value = value.detach().cpu()
        # A pickle may claim any shape for any storage.
        if value.numel() * value.element_size() > size:
            raise ValueError("it claims more numbers than the file holds")
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    except (TypeError, ValueError, RuntimeError) as error:  # sparse, quantized, of 8 bits, or of no storage at all
        raise DataError(f"{shown(path)}: {name} is no plain array ({_first_line(error)})") from None


def _get(path: Path, found: Mapping[str, Any], *names: str) -> Any:
    """The value under the first of the names that is there."""
    for name in names[:2]:
        if name in found:
            return found[name]
    others = [key for key in found if key not in _KNOWN]
    others = [key for key in others if len(key) < 100]
    close = difflib.get_close_matches(names[0], others, 1) or difflib.get_close_matches(names[1], others, 1)
    hint = f"; did you mean {shown(close[0])!r}?" if close else f"; it holds {_names(found)}"
    raise DataError(f"{shown(path)}: key {' or '.join(map(repr, names[:1] + names[2:]))} is missing{hint}")


def _names(found: Mapping[str, Any]) -> str:
    few = ", ".join(shown(name) for name in sorted(found)[:20])
    return (few or "nothing") + (", ..." if len(found) > 20 else "")


def _numbers(path: Path, name: str, given: Any) -> NDArray[Any]:
    try:
        value: NDArray[Any] = np.asarray(given)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # lists of lists of different lengths
        raise DataError(f"{shown(path)}: {name} is no array of numbers") from None
    if value.dtype.kind not in "fiu":
        raise DataError(f"{shown(path)}: {name} must hold real numbers, not {value.dtype}")
    return value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))


def _matrix(path: Path, name: str, given: Any) -> NDArray[Any]:
    value = _numbers(path, name, given)
    if value.ndim != 2:
        raise DataError(f"{shown(path)}: {name} must have two dimensions, not shape {value.shape}")
    return value


def _labels(path: Path, name: str, given: Any) -> Ints:
    """Whole numbers of whatever type they were stored in; MATLAB has 1 x N arrays of doubles."""
    value = _numbers(path, name, given)
    if value.ndim == 2 and 1 in value.shape:
        value = value.ravel()
    if value.ndim != 1:
        raise DataError(f"{shown(path)}: {name} must have one dimension, not shape {value.shape}")
    if value.dtype.kind == "f":
        wrong, what = ~(value == np.round(value)) | np.isinf(value), "is not an integer"
        if not wrong.any():
            wrong, what = np.abs(value) > _EXACT_FLOAT, "is beyond the integers that a float holds exactly"
    else:
        wrong, what = value > np.iinfo(np.int64).max, "overflows a 64-bit integer"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{shown(path)}: {name}[{row}] = {value[row]} {what}")
    return np.asarray(value, np.int64)
