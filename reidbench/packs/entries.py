"""What a pack contains: the names of its files, how large each may be, and the one form of JSON and arrays in it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from reidbench.registry.metrics import NAME

FORMAT = 1  # bump when an older version could not read what is written
PACK, BOARD, MATRIX, FAILURES, SIGNATURE = "pack.json", "board.json", "matrix.yaml", "failures.json", "pack.sig"
RESULTS = ("notes.json", "per_query.npz")  # of an evaluation
SIDES = ("query", "gallery")
MIB = 1 << 20

_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,250}"  # as KEY of manifests
LARGEST: Mapping[re.Pattern[str], int] = {
    re.compile(pattern): limit * MIB
    for pattern, limit in {
        r"pack\.json": 32,
        r"board\.json": 64,
        r"matrix\.yaml": 4,
        r"failures\.json": 16,
        r"pack\.sig": 1,
        r"environments/[0-9a-f]{32}\.json": 4,
        rf"manifests/{_KEY}\.json": 8,
        rf"results/{_KEY}/(?:notes\.json|per_query\.npz)": 128,
        rf"features/{_KEY}/(?:query|gallery)\.npy": 2048,
        rf"rounded/{_KEY}\.json": 1,
    }.items()
}
MOST_JSON = 128 * MIB  # of all manifests together, which a reader keeps


def limit_of(name: str) -> int | None:
    """The most bytes that a file of this name may have; None where no pack contains such a file."""
    return next((limit for pattern, limit in LARGEST.items() if pattern.fullmatch(name)), None)


# ---------------------------------------------------------------------- JSON
def to_json(value: Any) -> bytes:
    """JSON as packs contain it. Raises ValueError for NaN, infinity and texts that are not Unicode."""
    text = json.dumps(value, indent=1, allow_nan=False)
    json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return (text + "\n").encode()


def from_json(content: bytes) -> Any:
    """The value of such JSON. Raises ValueError for any other text of it, like one with a name twice."""
    try:
        value = json.loads(content)
        same = to_json(value) == content
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not same:
        raise ValueError("it is not written in the form of packs")
    return value


# ---------------------------------------------------------------------- arrays
HEADER = 128  # bytes
_HALF = re.compile(
    rb"\x93NUMPY\x01\x00v\x00\{'descr': '<f2', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n"
)


def to_npy(features: np.ndarray) -> bytes:
    """Features [N, D] of half precision as .npy."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(features, dtype="<f2"), (1, 0), allow_pickle=False)
    return stream.getvalue()


def from_npy(content: bytes) -> np.ndarray:
    """Such features; not a copy, and not to be changed. Raises ValueError for any other .npy and for wrong sizes."""
    header = _HALF.fullmatch(content[:HEADER])
    if header is None or len(header[0]) != HEADER:
        raise ValueError("it is not an array of half precision [N, D]")
    rows, columns = int(header[1]), int(header[2])
    if rows * columns * 2 != len(content) - HEADER:
        raise ValueError(f"it has {len(content) - HEADER} bytes for an array of {rows} x {columns}")
    found = np.frombuffer(content, dtype="<f2", offset=HEADER).reshape(rows, columns)
    if not np.isfinite(found).all():
        raise ValueError("it contains features that are no numbers")
    return found


def npz_fault(content: bytes) -> str:
    """What is wrong with an .npz of arrays that an evaluation keeps of its queries; empty where all is right.

    Its arrays are stored uncompressed and contain numbers, truth values or texts, as many bytes as their shape says.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            names = [one.filename.removesuffix(".npy") for one in infos]
            stored = all(one.compress_type == zipfile.ZIP_STORED and not one.flag_bits & 1 for one in infos)
            if not stored or len(set(names)) < len(names) or not all(map(NAME.fullmatch, names)):
                return "it has entries that are compressed, encrypted, doubled or strangely named"
            if sum(one.file_size for one in infos) > len(content):
                return "its entries lie over each other"
            return next((f"{one.filename} {fault}" for one in infos if (fault := _fault(archive.read(one)))), "")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError):
        return "it is not a sound .npz file"


def _fault(content: bytes) -> str:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(stream, max_header_size=1000)
    except (ValueError, KeyError, RecursionError, MemoryError, SyntaxError, TypeError):
        return "is not an array"
    if dtype.kind not in "biufSU" or dtype.hasobject:
        return f"is an array of {dtype}, not of numbers"
    count = 1
    for length in shape:
        count *= length
    if any(length < 0 for length in shape) or count * dtype.itemsize != len(content) - stream.tell():
        return "has another size than its shape says"
    return ""
