"""pids and camids as programs store them, whole numbers of any type or strings, and their conversion to int64."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data.split import JUNK
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number

Ints = NDArray[np.int64]
LAST = 0x10FFFF  # last code point of Unicode; numpy accepts any 32 bits as a character
EXACT = {16: 2.0**11, 32: 2.0**24, 64: 2.0**53}  # larger whole numbers may be rounded in a float of this many bits
_LARGEST = 2**63
# Numbers with a decimal point or comma, or a signed exponent: `1.0`, `1.0e+00`, `1e+15`. `1e3` may be a name.
_DECIMAL = re.compile(r"[+-]?([0-9]*[.,][0-9]+|[0-9]+[.,])([eE][+-]?[0-9]+)?|[+-]?[0-9]+[eE][+-][0-9]+", re.ASCII)
MISSING = ("nan", "none", "null", "<na>", "n/a")  # missing values as written by Python, databases and pandas


@dataclass(frozen=True)
class Mapped:
    """Labels as int64 [N] by key.

    `texts` maps numbers to strings if the labels are strings, and is empty otherwise. `mixed`: some of these strings
    are whole numbers.
    """

    values: Mapping[str, Ints]
    texts: Mapping[int, str] = field(default_factory=dict)
    mixed: bool = False


def mapped(path: Path, given: Mapping[str, Any]) -> Mapped:
    """Convert the labels of query and gallery to numbers together, so that the same string becomes the same number.

    `given` maps keys of the file to [N] numbers or strings. If all strings are whole numbers, they become these
    numbers; otherwise the distinct strings are numbered from 1 in sorted order, and "-1" stays -1. Raises DataError,
    with file, key and index, for a value that is neither.
    """
    arrays = {key: _one_dimension(path, key, value) for key, value in given.items()}
    if not any(array.dtype.kind == "U" for array in arrays.values()):
        return Mapped({key: _integers(path, key, array) for key, array in arrays.items()})
    unique: dict[str, int | None] = {}
    columns = {key: _texts(path, key, array) for key, array in arrays.items()}
    for key, column in columns.items():
        unique |= {text: _number(path, key, column, text) for text in dict.fromkeys(column)}
    whole = [text for text, number in unique.items() if number is not None]
    if len(whole) == len(unique):
        return Mapped({key: np.array([unique[text] for text in col], np.int64) for key, col in columns.items()})
    junk = {text: JUNK for text, number in unique.items() if number == JUNK}
    order = {text: place for place, text in enumerate(sorted(unique), 1)} | junk
    numbers = {key: np.array([order[text] for text in column], np.int64) for key, column in columns.items()}
    return Mapped(numbers, {number: text for text, number in order.items()}, mixed=len(whole) > len(junk))


def array_of(path: Path, name: str, given: Any) -> NDArray[Any]:
    """Return a key's value as an array in native byte order. Raises DataError if it is not an array."""
    try:
        value: NDArray[Any] = np.asarray(given)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # lists of lists of different lengths
        raise DataError(f"{shown(path)}: {shown(name)} is not one array: its parts differ in length or type") from None
    if value.dtype.kind == "S":
        try:
            value = np.char.decode(value, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{shown(path)}: {shown(name)} has strings that are not UTF-8") from None
    value = value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
    if value.dtype.kind == "U" and value.nbytes and np.ascontiguousarray(value).ravel().view(np.uint32).max() > LAST:
        raise DataError(f"{shown(path)}: {shown(name)} has strings with invalid characters")
    return value


def _one_dimension(path: Path, name: str, given: Any) -> NDArray[Any]:
    """Return labels as [N], also from the [1, N] arrays of MATLAB."""
    value = array_of(path, name, given)
    if value.dtype.kind not in "fiuU":
        raise DataError(f"{shown(path)}: {shown(name)} must contain whole numbers or strings, not {_kind(value)}")
    if value.ndim == 2 and 1 in value.shape:
        value = value.ravel()
    if value.ndim != 1:
        raise DataError(f"{shown(path)}: {shown(name)} must have one dimension, not shape {value.shape}")
    return value


def _kind(value: NDArray[Any]) -> str:
    return "Python objects; save strings with .astype(str)" if value.dtype == object else str(value.dtype)


def _texts(path: Path, name: str, array: NDArray[Any]) -> list[str]:
    items = (array if array.dtype.kind == "U" else _integers(path, name, array)).tolist()
    return [unicodedata.normalize("NFC", str(item)) for item in items]  # macOS writes accents as separate characters


def _number(path: Path, name: str, column: list[str], text: str) -> int | None:
    """Return the number of a label, or None for a name."""
    if why := fault(text):
        raise DataError(f"{shown(path)}: {shown(name)}[{column.index(text)}] = {shown(text)!r} {why}")
    return whole_number(text)


def fault(text: str) -> str:
    """Return why a text is not a valid label (missing, or a malformed number), "" for a whole number or a name."""
    number = whole_number(text)
    if not text.strip():
        return "is empty; every image needs a label (-1 for junk or an unknown camera)"
    if text != text.strip():
        return "starts or ends with a space; remove it"
    if text.lower() in MISSING:
        return "is a missing value"
    if _DECIMAL.fullmatch(text):
        return "is a decimal number, not a whole number; write 12, 0012 or -1, or a name"
    return "overflows a 64-bit integer" if number is not None and not -_LARGEST <= number < _LARGEST else ""


def _integers(path: Path, name: str, value: NDArray[Any]) -> Ints:
    """Return whole numbers stored in any type as int64."""
    if value.dtype.kind == "f":
        kind, value = value.dtype, value.astype(np.float64) if value.dtype.itemsize < 8 else value
        wrong, what = ~(value == np.round(value)) | np.isinf(value), "is not an integer"
        if not wrong.any():
            largest = EXACT.get(8 * kind.itemsize, EXACT[64])
            wrong = np.abs(value) >= largest
            what = f"may be rounded: {kind} holds whole numbers exactly only below {largest:.0f}; save them as int64"
    else:
        wrong, what = value > np.iinfo(np.int64).max, "overflows a 64-bit integer"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{shown(path)}: {shown(name)}[{row}] = {value[row]} {what}")
    return np.asarray(value, np.int64)
