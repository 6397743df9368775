"""Contents of a pack: file names, size limits, and the canonical form of JSON and arrays."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from reidbench.registry.metrics import NAME

FORMAT = 1  # increase when older versions cannot read packs
PACK, BOARD, MATRIX, FAILURES, SIGNATURE = "pack.json", "board.json", "matrix.yaml", "failures.json", "pack.sig"
RESULTS = ("notes.json", "per_query.npz")  # of an evaluation
SIDES = ("query", "gallery")
MIB = 1 << 20

_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,250}"  # as in manifests' KEY
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
MOST_JSON = 128 * MIB  # of all manifests, which a reader keeps in memory


def limit_of(name: str) -> int | None:
    """Return the size limit in bytes of a file; None if packs do not contain such a file."""
    return next((limit for pattern, limit in LARGEST.items() if pattern.fullmatch(name)), None)


# ---------------------------------------------------------------------- JSON
def to_json(value: Any) -> bytes:
    """Return the canonical JSON of packs. Raises ValueError for NaN, infinity and invalid Unicode."""
    text = json.dumps(value, indent=1, allow_nan=False)
    json.dumps(value, ensure_ascii=False).encode()  # rejects lone surrogates
    return (text + "\n").encode()


def from_json(content: bytes) -> Any:
    """Parse canonical JSON. Raises ValueError for any other form, such as a repeated name."""
    try:
        value = json.loads(content)
        same = to_json(value) == content
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not same:
        raise ValueError("it is not in the canonical form of packs")
    return value


# ---------------------------------------------------------------------- arrays
HEADER = 128  # bytes
_HALF = re.compile(
    rb"\x93NUMPY\x01\x00v\x00\{'descr': '<f2', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n"
)


def to_npy(features: np.ndarray) -> bytes:
    """Return features [N, D] in half precision as .npy."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(features, dtype="<f2"), (1, 0), allow_pickle=False)
    return stream.getvalue()


def from_npy(content: bytes) -> np.ndarray:
    """Return such features as a read-only view. Raises ValueError for any other .npy and for wrong sizes."""
    header = _HALF.fullmatch(content[:HEADER])
    if header is None or len(header[0]) != HEADER:
        raise ValueError("it is not a half-precision array [N, D]")
    rows, columns = int(header[1]), int(header[2])
    if rows * columns * 2 != len(content) - HEADER:
        raise ValueError(f"it has {len(content) - HEADER} bytes for an array of {rows} x {columns}")
    found = np.frombuffer(content, dtype="<f2", offset=HEADER).reshape(rows, columns)
    if not np.isfinite(found).all():
        raise ValueError("it contains NaN or infinite features")
    return found


# NumPy would evaluate the header, so match it instead.
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<descr>[<>|][biufSU]\d{1,4})', 'fortran_order': (?:False|True), "
    rb"'shape': \((?P<shape>(?:\d{1,10}(?:, |,)?){0,8})\), \} *\n",
    re.DOTALL,
)


def npz_fault(content: bytes) -> str:
    """Return the error in an .npz of per-query results, or "".

    Arrays must be uncompressed, contain numbers, booleans or text, and have the size that their shape requires.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            names = [one.filename.removesuffix(".npy") for one in infos]
            stored = all(one.compress_type == zipfile.ZIP_STORED and not one.flag_bits & 1 for one in infos)
            if not stored or len(set(names)) < len(names) or not all(map(NAME.fullmatch, names)):
                return "it has compressed, encrypted, duplicate or invalidly named entries"
            if sum(one.file_size for one in infos) > len(content):
                return "its entries overlap"
            return next((f"{one.filename} {fault}" for one in infos if (fault := _fault(archive.read(one)))), "")
    except (zipfile.BadZipFile, OSError, TypeError, ValueError, NotImplementedError, EOFError, RuntimeError):
        return "it is not a valid .npz file"


def _fault(content: bytes) -> str:
    header = _NPY.match(content)
    if header is None or len(header[0]) != 10 + int.from_bytes(content[8:10], "little"):
        return "is not an array of numbers, booleans or text as NumPy writes it"
    count = np.dtype(header["descr"].decode()).itemsize
    for length in re.findall(rb"\d+", header["shape"]):
        count *= int(length)
    return "" if count == len(content) - len(header[0]) else "does not have the size that its shape requires"
