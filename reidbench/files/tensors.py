"""Safe reading of files written by torch.save or safetensors, without running code; other files are identified."""

from __future__ import annotations

import argparse
import datetime
import re
import warnings
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from reidbench.errors import DataError

from .names import shown
from .placeholders import refuse_placeholder

HEAD = 1024  # bytes that identify a file
OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # start of a torch.save file that is not a zip archive
PACKED = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
}
OTHERS = {b"\x89HDF": "an HDF5 file, as written by Keras", b"\x93NUMPY": "a .npy file of one array"}
UNSAFE = "not a file of plain tensors that torch loads safely"
CURE = "if you trust the file, load it there and save only the tensors: torch.save(model.state_dict(), FILE)"
# Numpy types for numbers and text. Not objects and structures: their pickled description can refer to anything.
NUMPY_KINDS = "?bhilqBHILQefdgFDGSUmM"


def load_pickle_safely(path: Path, cure: str = CURE) -> Any:
    """Load what torch.save wrote to `path`, with tensors on the CPU.

    Besides tensors and plain Python values, a file may contain numpy numbers and arrays, dates, paths (loaded as pure
    paths), defaultdicts and deques (loaded as dicts and lists), and `argparse.Namespace` or `SimpleNamespace` objects.
    Nothing else is created and no code runs. Raises DataError with what was refused, or the real type of the file, and
    a fix; `cure` is the fix for a file that could run code.
    """
    import torch

    _refuse_other_files(path)
    try:
        with (
            path.open("rb") as stream,  # for a path, torch decides by the suffix
            torch.serialization.safe_globals(_harmless()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # about old pickle protocols and descriptions by old numpy versions
            return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many kinds for a file that is not its own
        raise DataError(f"{shown(path)}: {_why(path, error, cure)}") from None


def load_checkpoint_safely(path: Path) -> Any:
    """Load such a file or a safetensors file, recognised by its content. Raises DataError."""
    _refuse_other_files(path)
    if not _is_safetensors(_head(path)):
        return load_pickle_safely(path)
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except Exception as error:  # noqa: BLE001 - safetensors raises many kinds for a damaged file
        why = shown(" ".join(str(error).split()))
        raise DataError(f"{shown(path)}: a safetensors file that is damaged or cut short ({why})") from None


@cache
def _harmless() -> list[Any]:
    """Return the classes and functions that a file may use besides torch's own: creating them runs no foreign code."""
    number = cast(Any, np.float64(0)).__reduce__()[0]  # the function that unpickling a numpy number calls
    array = cast(Any, np.zeros(0)).__reduce__()[0]
    named = [
        (function, f"numpy.{core}.multiarray.{name}")  # numpy renamed the module; files have either name
        for core in ("core", "_core")
        for function, name in ((number, "scalar"), (array, "_reconstruct"))
    ]
    kinds = {type(np.dtype(code)) for code in NUMPY_KINDS}
    # Paths keep only their text, independent of the system and the Python version that wrote them.
    paths = [
        (PureWindowsPath if "Windows" in name else PurePosixPath, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
    ]
    # torch fills only its own containers, so those of `collections` become plain ones.
    plain = [(_as_dict, "collections.defaultdict"), (_as_list, "collections.deque")]
    factories = [list, dict, int, float, frozenset]  # of a defaultdict
    dates = [datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone]
    return [
        *named,
        np.ndarray,
        np.dtype,
        *kinds,
        *dates,
        *paths,
        *plain,
        *factories,
        argparse.Namespace,
        SimpleNamespace,
    ]


def _as_dict(_factory: Any = None) -> dict[Any, Any]:
    """Return the initial value of a defaultdict; its items are set later."""
    return {}


def _as_list(items: Iterable[Any] = (), _longest: Any = None) -> list[Any]:
    """Return the initial items of a deque."""
    return list(items)


def _refuse_other_files(path: Path) -> None:
    """Raise DataError for a file that torch or safetensors certainly did not write."""
    refuse_placeholder(path)
    if kind := _other_kind(path, _head(path)):
        raise DataError(f"{shown(path)}: {kind}")


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD)


def _other_kind(path: Path, head: bytes) -> str:
    """Return the type of a file with known first bytes, with a fix; "" if torch or safetensors may have written it."""
    for magic, name in PACKED.items():
        if head.startswith(magic):
            return f"{name}: unpack it first"
    for magic, name in OTHERS.items():
        if head.startswith(magic):
            return f"{name}: torch.save did not write it"
    if head[257:262] == b"ustar":
        return (
            "a tar archive: unpack it if the checkpoint is inside; if a PyTorch before 0.1.10 wrote it, load it with "
            "torch.load(FILE, weights_only=False) where you trust it and save it again"
        )
    return _zip_kind(path) if head.startswith(b"PK") else ""


def _zip_kind(path: Path) -> str:
    """Return the type of a zip archive, unless torch.save wrote it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError):
        return "damaged or cut short: its zip archive has no end; copy or download it again"
    folder = next((name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == "data.pkl"), None)
    if folder is None:
        first = f"its first entry is {shown(names[0])}" if names else "it is empty"
        return f"a zip archive, and torch.save did not write it ({first}): unpack it if the checkpoint is inside"
    if f"{folder}/constants.pkl" in names:
        return "a TorchScript archive: load it with torch.jit.load and save torch.save(model.state_dict(), FILE)"
    return ""


def _is_safetensors(head: bytes) -> bool:
    """Return whether the head is a safetensors header: eight bytes with the length of a JSON text, then the text."""
    return head[8:9] == b"{" and not head.startswith((b"PK", b"\x80"))


def _why(path: Path, error: Exception, cure: str) -> str:
    """Return why torch could not load a file, in terms of its user."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    head = _head(path)
    text = head.decode("utf-8", "replace").rstrip("\ufffd")  # the head may end within a character
    if text and all(char.isprintable() or char.isspace() for char in text):
        return f"a text file, which torch.save did not write; it starts with {text[:60].strip()!r}"
    refused = re.search(r"GLOBAL (\S+)|<(?:class|function) '?([^'\s>]+)", str(error))
    name = shown(refused[1] or refused[2]) if refused else ""
    if "Unsupported operand" in str(error) and head.startswith(b"PK"):
        return f"{UNSAFE}: its pickle_protocol is not 2, torch.save's own; {cure}"
    if head.startswith((b"PK", OLD_TORCH)) and (not name or _cut_within(path, name)):
        return "damaged or cut short; copy or download it again"
    if name:
        return f"{UNSAFE}: it contains {name}, and loading that could run code; {cure}"
    if head.startswith(b"\x80"):
        return f"{UNSAFE}: it is a pickle that torch.save did not write; {cure}"
    return "not written by torch.save or safetensors"


def _cut_within(path: Path, name: str) -> bool:
    """Return whether a file is cut off within the refused name, which is then incomplete."""
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - HEAD, 0))
        return stream.read().rpartition(b"\n")[2].decode("latin-1").startswith(name.rpartition(".")[2])
