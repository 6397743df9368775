"""Images in an lmdb, with any keys. Requires the extra `data`; nothing is unpickled."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reidbench.errors import DataError
from reidbench.files.names import shown

SUFFIXES = (".lmdb", ".mdb")
# Magic bytes of image files: JPEG, PNG, BMP, GIF, TIFF, and WebP's container.
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")
HEX = "hex:"


def is_lmdb(path: Path) -> bool:
    """Whether this is an lmdb: a folder that contains data.mdb, or a single file of that name."""
    return (path / "data.mdb").is_file() or (path.suffix in SUFFIXES and path.is_file())


def data_file(path: Path) -> Path:
    """The data file of the lmdb `path`."""
    return path / "data.mdb" if path.is_dir() else path


def image_keys(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (key as text, whether its value begins like an image) of every entry, in key order."""
    with _environment(path).begin(buffers=True) as transaction:
        for key, value in transaction.cursor():
            head = bytes(value[:8])
            yield key_to_text(bytes(key)), head.startswith(SIGNATURES)


def read_value(path: Path) -> bytes | None:
    """Value of `LMDB/KEY`; None if no lmdb is on the path or it does not have the key."""
    for folder in path.parents:
        if is_lmdb(folder):
            return _value(folder, path.relative_to(folder).as_posix())
    return None


def _value(folder: Path, name: str) -> bytes | None:
    environment = _environment(folder)
    try:
        with environment.begin() as transaction:
            value: bytes | None = transaction.get(text_to_key(name))
    except (ValueError, importlib.import_module("lmdb").Error) as error:  # the key is too long, or not hexadecimal
        raise DataError(f"{shown(folder)}: cannot look up {shown(name)}: {error}") from None
    return value


def key_to_text(key: bytes) -> str:
    """A key as part of a path. Keys that are not valid in a path become hexadecimal digits."""
    try:
        text = key.decode("utf-8")
    except UnicodeDecodeError:
        return HEX + key.hex()
    plain = text.isprintable() and not text.startswith(HEX) and Path(text).as_posix() == text
    inside = not Path(text).is_absolute() and ".." not in Path(text).parts
    return text if text and text != "." and plain and inside else HEX + key.hex()


def text_to_key(text: str) -> bytes:
    """Invert `key_to_text`."""
    return bytes.fromhex(text.removeprefix(HEX)) if text.startswith(HEX) else text.encode("utf-8")


@functools.lru_cache(maxsize=8)
def _environment(path: Path) -> Any:
    """Open the lmdb read-only and without a lock, so that it also works on a read-only disk."""
    try:
        lmdb: Any = importlib.import_module("lmdb")
    except ImportError:
        raise DataError(f"{path}: reading an lmdb requires an extra: pip install 'reidbench[data]'") from None
    try:
        environment = lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise DataError(f"{shown(path)}: not a readable lmdb: {error}") from None
    info, page = environment.info(), environment.stat()["psize"]
    if (info["last_pgno"] + 1) * page > data_file(path).stat().st_size:  # reading beyond the end kills the process
        environment.close()
        raise DataError(f"{shown(path)}: not a readable lmdb: it is truncated")
    return environment
