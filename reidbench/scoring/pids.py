"""pids and camids as people store them: whole numbers of any type, or texts, which become numbers here."""

from __future__ import annotations

import re
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
LAST = 0x10FFFF  # of Unicode; numpy takes any 32 bits of a file for a character
_EXACT_FLOAT = 2.0**53
_LARGEST = 2**63
# With a decimal point or comma, or an exponent with a sign: `1.0`, `1.0e+00`, `1e+15`. `1e3` may be a name.
_DECIMAL = re.compile(r"[+-]?([0-9]*[.,][0-9]+|[0-9]+[.,])([eE][+-]?[0-9]+)?|[+-]?[0-9]+[eE][+-][0-9]+", re.ASCII)
MISSING = ("nan", "none", "null", "<na>", "n/a")  # as Python, databases and pandas write what is not there


@dataclass(frozen=True)
class Mapped:
    """Labels as numbers, int64 [N] by the names they were given under.

    `texts` has the text of each number where labels are not numbers themselves, and is empty otherwise; `mixed` says
    that some of these texts are whole numbers.
    """

    values: Mapping[str, Ints]
    texts: Mapping[int, str] = field(default_factory=dict)
    mixed: bool = False


def mapped(path: Path, given: Mapping[str, Any]) -> Mapped:
    """Make numbers of the labels of query and gallery together, so that equal texts become equal numbers.

    `given` is key -> [N] numbers or texts, by the keys of the file. Texts that all are whole numbers mean these
    numbers; otherwise the different texts are numbered from 1 in sorted order, and "-1" stays -1. Raises DataError for
    a value that is neither, naming file, key and place.
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
    """A key's value as an array in the machine's order of bytes. Raises DataError for what is none."""
    try:
        value: NDArray[Any] = np.asarray(given)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # lists of lists of different lengths
        raise DataError(f"{shown(path)}: {shown(name)} is not one array: its parts differ in length or kind") from None
    if value.dtype.kind == "S":
        try:
            value = np.char.decode(value, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{shown(path)}: {shown(name)} has texts that are not UTF-8") from None
    value = value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
    if value.dtype.kind == "U" and value.nbytes and np.ascontiguousarray(value).ravel().view(np.uint32).max() > LAST:
        raise DataError(f"{shown(path)}: {shown(name)} has texts with characters that do not exist")
    return value


def _one_dimension(path: Path, name: str, given: Any) -> NDArray[Any]:
    """[N] from whatever holds N labels; MATLAB has 1 x N arrays."""
    value = array_of(path, name, given)
    if value.dtype.kind not in "fiuU":
        raise DataError(f"{shown(path)}: {shown(name)} must hold whole numbers or texts, not {_kind(value)}")
    if value.ndim == 2 and 1 in value.shape:
        value = value.ravel()
    if value.ndim != 1:
        raise DataError(f"{shown(path)}: {shown(name)} must have one dimension, not shape {value.shape}")
    return value


def _kind(value: NDArray[Any]) -> str:
    return "Python objects; save texts with .astype(str)" if value.dtype == object else str(value.dtype)


def _texts(path: Path, name: str, array: NDArray[Any]) -> list[str]:
    return [str(item) for item in (array if array.dtype.kind == "U" else _integers(path, name, array)).tolist()]


def _number(path: Path, name: str, column: list[str], text: str) -> int | None:
    """The number that a label means, or None for a name."""
    if why := fault(text):
        raise DataError(f"{shown(path)}: {shown(name)}[{column.index(text)}] = {shown(text)!r} {why}")
    return whole_number(text)


def fault(text: str) -> str:
    """Reason why a text cannot be a label: it is missing, or a number gone wrong; "" for a whole number or a name."""
    number = whole_number(text)
    if not text.strip():
        return "is empty: every image needs a label (-1 is junk, or an unknown camera)"
    if text != text.strip():
        return "begins or ends with a space; remove it"
    if text.lower() in MISSING:
        return "is a missing value"
    if _DECIMAL.fullmatch(text):
        return "is a decimal number, not a whole one; write 12, 0012 or -1, or a name"
    return "overflows a 64-bit integer" if number is not None and not -_LARGEST <= number < _LARGEST else ""


def _integers(path: Path, name: str, value: NDArray[Any]) -> Ints:
    """Whole numbers of whatever type they were stored in."""
    if value.dtype.kind == "f":
        wrong, what = ~(value == np.round(value)) | np.isinf(value), "is not an integer"
        if not wrong.any():
            wrong, what = np.abs(value) > _EXACT_FLOAT, "is beyond the integers that a float holds exactly"
    else:
        wrong, what = value > np.iinfo(np.int64).max, "overflows a 64-bit integer"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{shown(path)}: {shown(name)}[{row}] = {value[row]} {what}")
    return np.asarray(value, np.int64)
