"""MATLAB .mat files of level 5: reads numbers and strings itself, and checks nested data before scipy reads them.

`scipy.io.loadmat` crashes the process on some damaged files, since its C code uses lengths in tags as indices. Here
every length is checked against the file. Format: "MAT-File Format", The MathWorks. Running scipy in a child process
would be as safe, but takes a second or two per file; this module takes milliseconds (40 MB in 0.14 s).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from reidbench.data.pictures.images import memory_limit

HEADER = 128
MATRIX, COMPRESSED = 14, 15
# Types of stored numbers, and of numbers once read, by the format's codes.
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
OTHERS = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "opaque"}
COMPLEX = 0x0800
HEAD = 2**16  # bytes of a compressed variable to unpack for its name
CHARACTERS = {1: 1, 2: 1, 3: 2, 4: 2, 16: 1, 17: 2, 18: 4}  # minimum bytes per character, by code
UTF8 = 16
MOST_DIMENSIONS = 32  # numpy's
MOST_DEPTH = 20  # nesting of cells


class DamagedMatError(ValueError):
    """Raised for a .mat file whose contents contradict its tags."""


@dataclass(frozen=True)
class Variable:
    """One variable: its kind in words and, if requested, its real numbers or strings."""

    kind: str
    values: NDArray[Any] | None = None


def is_level_5(start: bytes) -> bool:
    """Return whether these first 128 bytes are of a level 5 file (-v6, -v7), not an older or HDF5 one (-v7.3)."""
    order = _order(start)
    return order is not None and len(start) >= HEADER and struct.unpack_from(f"{order}H", start, 124)[0] == 0x0100


def read_variables(path: Path, wanted: Container[str], limit: int) -> dict[str, Variable]:
    """Return all variables of a level 5 file by name; `limit` is the maximum size of one in bytes.

    Raises DamagedMatError for a damaged file, or if a requested variable is larger.
    """
    found = {}
    for body, order in _bodies(path):
        name, variable = _variable(body, order, wanted, limit)
        found[name] = variable
    return found


def load(path: Path) -> dict[str, Any]:
    """Check every tag of a level 5 file of numbers, strings, cells and structs, then return `scipy.io.loadmat` of it.

    Raises DamagedMatError if the file is damaged, exceeds half of the memory once unpacked, or contains other types.
    """
    import scipy.io

    left = 2 * memory_limit()
    for body, order in _bodies(path):
        left -= body.size
        if left < 0:
            raise DamagedMatError("it exceeds half of this machine's memory")
        _check(body.whole(), order, 0)
    try:
        found: dict[str, Any] = scipy.io.loadmat(path)
    except Exception as error:  # loadmat raises many types
        raise DamagedMatError(str(error)) from error
    return found


class _Body:
    """The bytes of one variable. Only the first are read, or unpacked, until `whole` is called."""

    def __init__(self, file: BinaryIO, code: int, size: int, order: str) -> None:
        if code not in (MATRIX, COMPRESSED):
            raise DamagedMatError(f"found an element of type {code}, expected a variable")
        self.file, self.end = file, file.tell() + size
        self.packed = file.read(size) if code == COMPRESSED else None
        self.skip = 0
        self.size = size
        self.start = self._first(HEAD)
        if self.packed is not None:
            inner, self.skip, self.size = _tag(self.start, 0, order, "a compressed variable")
            if inner != MATRIX:
                raise DamagedMatError(f"found a compressed element of type {inner}, expected a variable")
            self.start = self.start[self.skip :]

    def whole(self) -> bytes:
        """Return all bytes. `_tag` or `_values` raise if there are fewer than the tag declares."""
        return self._first(self.skip + self.size)[self.skip :]

    def _first(self, count: int) -> bytes:
        if self.packed is None:
            self.file.seek(self.end - self.size)
            return self.file.read(min(count, self.size))
        try:
            return zlib.decompressobj().decompress(self.packed, count)
        except zlib.error as error:
            raise DamagedMatError(str(error)) from None


def _bodies(path: Path) -> Iterator[tuple[_Body, str]]:
    """Yield each variable of a file with its byte order."""
    left = path.stat().st_size - HEADER
    with path.open("rb") as file:
        start = file.read(HEADER)
        order = _order(start)
        if order is None or not is_level_5(start):
            raise DamagedMatError("it is not a level 5 file; save it with -v7")
        while left > 0:
            code, begin, size = _tag(file.read(8), 0, order, "the file")
            if begin != 8 or begin + size > left:
                raise DamagedMatError(f"a variable of {size} bytes exceeds the {max(left - begin, 0)} bytes left")
            body = _Body(file, code, size, order)
            yield body, order
            left -= begin + size
            file.seek(body.end)


def _order(start: bytes) -> str | None:
    return {b"IM": "<", b"MI": ">"}.get(start[126:128])


def _tag(data: bytes, at: int, order: str, where: str) -> tuple[int, int, int]:
    """Return type, start and size in bytes of the element at an offset."""
    if at + 8 > len(data):
        raise DamagedMatError(f"it ends within {where}")
    first, size = struct.unpack_from(f"{order}II", data, at)
    if first >> 16:  # up to four bytes are in the tag itself
        if first >> 16 > 4:
            raise DamagedMatError(f"a short element of {first >> 16} bytes in {where}")
        return first & 0xFFFF, at + 4, first >> 16
    return first, at + 8, size


def _variable(body: _Body, order: str, wanted: Container[str], limit: int) -> tuple[str, Variable]:
    name, kind, real, shape, at = _head(body.start, order)
    values = None
    if name in wanted and (real or kind in ("char", "cell")):
        if body.size > limit:
            raise DamagedMatError(f"{name} has {body.size} bytes, more than half of this machine's memory")
        values = _content(body.whole(), at, order, kind, shape, name)
    return name, Variable(kind, values)


def _content(body: bytes, at: int, order: str, kind: str, shape: tuple[int, ...], name: str) -> NDArray[Any] | None:
    """Return numbers, the lines of a text, or a cell of strings or single numbers; None for any other cell."""
    if kind == "char":
        return _lines(body, at, order, shape, name)
    return _cell(body, at, order, shape, name) if kind == "cell" else _values(body, at, order, kind, shape, name)


def _lines(body: bytes, at: int, order: str, shape: tuple[int, ...], name: str) -> NDArray[Any] | None:
    """Return the rows of a character matrix as strings [rows] without padding; None for more dimensions."""
    begin, size, code = _text(body, at, order, shape, name)
    if len(shape) != 2:
        return None
    data = body[begin : begin + size]
    try:
        if code == UTF8:
            units = np.array([ord(char) for char in data.decode("utf-8")], np.uint32)
        else:
            units = np.frombuffer(data, f"{order}u{CHARACTERS[code]}", size // CHARACTERS[code])
        table = units[: math.prod(shape)].reshape(shape, order="F")
        rows = ["".join(map(chr, row)) for row in table.tolist()]
        texts = [row.encode("utf-16", "surrogatepass").decode("utf-16").rstrip(" \0") for row in rows]
    except ValueError as error:  # invalid characters, or fewer than the shape declares
        raise DamagedMatError(f"the text of {name} is damaged") from error
    return np.array(texts or [""], np.str_)


def _cell(body: bytes, at: int, order: str, shape: tuple[int, ...], name: str) -> NDArray[Any] | None:
    """Return the single strings or numbers of a cell, in MATLAB's order; None if it contains anything else."""
    if min(shape) < 0:
        raise DamagedMatError(f"{name} has a damaged part")
    found = []
    for part in _parts(body, at, order, math.prod(shape), name):
        _, kind, real, inner, start = _head(part, order) if part else ("", "empty", False, (), 0)
        value = _content(part, start, order, kind, inner, name) if real or kind == "char" else None
        if value is None or value.size != 1:
            return None
        found.append(value.item())
    kinds = {type(value) is str for value in found}
    return np.array(found) if len(kinds) == 1 else None


def _head(body: bytes, order: str) -> tuple[str, str, bool, tuple[int, ...], int]:
    """Return name, kind, whether it contains real numbers, shape, and the offset of the numbers."""
    parts = []
    at = 0
    for expected, what in ((6, "flags"), (5, "dimensions"), (1, "name")):
        code, begin, size = _tag(body, at, order, f"a variable's {what}")
        if code != expected or begin + size > len(body):
            raise DamagedMatError(f"a variable's {what} are damaged")
        parts.append(body[begin : begin + size])
        at = _after(at, begin, size)
    flags, dimensions, name = parts
    if len(flags) != 8 or len(dimensions) % 4 or not 8 <= len(dimensions) <= 4 * MOST_DIMENSIONS:
        raise DamagedMatError("a variable's flags or dimensions are damaged")
    word = struct.unpack_from(f"{order}I", flags)[0]
    shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    number = NUMBERS.get(word & 0xFF)
    kind = OTHERS.get(word & 0xFF, "of an unknown kind") if number is None else "complex" if word & COMPLEX else number
    return name.decode("latin-1").rstrip("\0"), kind, kind == number, shape, at


def _values(body: bytes, at: int, order: str, kind: str, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return the numbers at an offset, in the variable's MATLAB type."""
    dtype, begin, _ = _stored(body, at, order, shape, name)
    numbers = np.frombuffer(body, dtype, math.prod(shape), begin)
    return numbers.astype(np.dtype(kind)).reshape(shape, order="F")


def _stored(body: bytes, at: int, order: str, shape: tuple[int, ...], name: str) -> tuple[np.dtype[Any], int, int]:
    """Return type and start of the numbers stored at an offset, and the offset of the next element."""
    code, begin, size = _tag(body, at, order, name)
    stored = STORED.get(code)
    if stored is None or begin + size > len(body):
        raise DamagedMatError(f"the numbers of {name} are damaged")
    dtype = np.dtype(order + stored)
    if min(shape) < 0 or math.prod(shape) * dtype.itemsize != size:
        raise DamagedMatError(f"{name} of shape {list(shape)} has {size} bytes of {dtype.name}")
    return dtype, begin, _after(at, begin, size)


def _after(at: int, begin: int, size: int) -> int:
    """Return the offset of the next element, at a multiple of 8 bytes."""
    return at + 8 if begin == at + 4 else begin + size + -size % 8


def _check(body: bytes, order: str, depth: int) -> None:
    """Check all tags of one variable and of its parts against the actual sizes."""
    name, kind, real, shape, at = _head(body, order)
    name = name or f"the content of {'a cell' if depth else 'the file'}"
    if depth > MOST_DEPTH or min(shape) < 0:
        raise DamagedMatError(f"{name} is damaged, or nested too deeply")
    if real or kind == "complex":
        _, _, at = _stored(body, at, order, shape, name)
        if kind == "complex":
            _stored(body, at, order, shape, name)
    elif kind == "char":
        _text(body, at, order, shape, name)
    elif kind in ("cell", "struct"):
        fields = 1
        if kind == "struct":
            fields, at = _fields(body, at, order, name)
        for part in _parts(body, at, order, math.prod(shape) * fields, name):
            if part:
                _check(part, order, depth + 1)
    else:
        raise DamagedMatError(f"{name} is {kind}; only numbers, strings, cells and structs are supported")


def _text(body: bytes, at: int, order: str, shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """Return start, size in bytes and storage code of the characters at an offset."""
    code, begin, size = _tag(body, at, order, name)
    damaged = code not in CHARACTERS or begin + size > len(body) or min(shape) < 0
    if damaged or size < math.prod(shape) * CHARACTERS[code]:
        raise DamagedMatError(f"the text of {name} is damaged")
    return begin, size, code


def _parts(body: bytes, at: int, order: str, count: int, name: str) -> Iterator[bytes]:
    """Yield the consecutive variables inside a cell or struct; empty ones have no bytes."""
    for _ in range(count):
        code, begin, size = _tag(body, at, order, name)
        if code != MATRIX or begin != at + 8 or begin + size > len(body):
            raise DamagedMatError(f"{name} has a damaged part")
        yield body[begin : begin + size]
        at = _after(at, begin, size)


def _fields(body: bytes, at: int, order: str, name: str) -> tuple[int, int]:
    """Return the number of fields of a struct, and the offset of its first value."""
    code, begin, size = _tag(body, at, order, name)
    at = _after(at, begin, size)
    names, first, total = _tag(body, at, order, name)
    if (code, size, names) != (5, 4, 1) or first + total > len(body):
        raise DamagedMatError(f"the fields of {name} are damaged")
    length = struct.unpack_from(f"{order}i", body, begin)[0]
    if length < 1 or total % length:
        raise DamagedMatError(f"the fields of {name} are damaged")
    return total // length, _after(at, first, total)
