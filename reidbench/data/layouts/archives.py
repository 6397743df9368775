"""Archives given in place of a folder: unpacked into the cache, once, and never beyond it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from reidbench.data.fingerprints.fingerprint import fingerprint_file
from reidbench.errors import DataError
from reidbench.files.atomic import whole_folder
from reidbench.files.names import shown
from reidbench.files.placeholders import refuse_placeholder

LIMIT = 200 * 2**30  # bytes that an archive may unpack to; the largest set of the field, LUPerson, has about 100 GB
FILES = 10_000_000
# An archive of pictures unpacks to its own size, one of text to ten times that; a bomb unpacks to thousands of times.
RATIO = 200
SLACK = 64 << 20
BLOCK = 1 << 20
HEADER = 4 << 20  # of one entry of a tar: names, times, owners
DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError, OSError,
    zlib.error, lzma.LZMAError, struct.error, ValueError, ArithmeticError, LookupError, MemoryError,
)  # fmt: skip
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
Member = tuple[str, Callable[[], Any] | None]  # path in the archive, and how to open it; None for a folder


def is_archive(path: Path) -> bool:
    """Whether `path` is a file that ends like an archive."""
    return path.name.lower().endswith(ENDINGS) and path.is_file()


def unpack(archive: Path, cache: Path, *, limit: int = LIMIT) -> Path:
    """The folder with the archive's files, unpacked now or before.

    Raises DataError for an archive that is damaged or empty, that unpacks to more than `limit` bytes or `RATIO` times
    its own size, or that holds a path outside the target or anything but files and folders. What was unpacked is
    renamed into place when it is whole.
    """
    refuse_placeholder(archive)
    target = cache / "unpacked" / f"{_stem(archive)}-{fingerprint_file(archive, cache)[:16]}"
    if target.is_dir():
        return target
    limit = min(limit, RATIO * archive.stat().st_size + SLACK)
    try:
        with whole_folder(target, mode=0o700) as work, _members(archive) as members:
            # As private as the archive may be.
            _write(archive, work, members, limit)
    except DAMAGED as error:
        why = shown(str(error) or type(error).__name__)
        raise DataError(f"{shown(archive)}: cannot be unpacked: {why}") from error
    return target


def inner_folder(folder: Path) -> Path:
    """Down through folders that hold nothing but one folder, which is how archives are often packed."""
    while True:
        inside = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]


def _write(archive: Path, work: Path, members: Iterator[Member], limit: int) -> None:
    done = 0
    for number, (name, opening) in enumerate(members):
        if number >= FILES:
            raise DataError(f"{shown(archive)}: more than {FILES} files")
        file = work / _safe(archive, name)
        if opening is None:
            file.mkdir(parents=True, exist_ok=True)
            continue
        with opening() as source:
            file.parent.mkdir(parents=True, exist_ok=True)
            # "x" never follows or overwrites: a name that comes twice is an error, as is a file that is a folder too.
            with file.open("xb") as out:
                while block := source.read(BLOCK):
                    done += len(block)
                    if done > limit:
                        raise DataError(f"{shown(archive)}: unpacks to more than {limit} bytes, the limit")
                    out.write(block)


def _safe(archive: Path, name: str) -> PurePosixPath:
    """The member's path, or DataError when it would lie outside the target."""
    path = PurePosixPath(name)
    drive = "\\" in name or (len(name) > 1 and name[1] == ":")
    if path.is_absolute() or ".." in path.parts or drive or "\0" in name:
        raise DataError(
            f"{shown(archive)}: {shown(name)!r} would leave the folder that it is unpacked into; nothing was unpacked"
        )
    return path


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            yield _zip_members(archive, packed)
    else:
        with _unpacked_stream(archive) as stream, tarfile.open(fileobj=_Bounded(stream), mode="r:") as packed_tar:  # type: ignore[call-overload]
            yield _tar_members(archive, packed_tar)


def _unpacked_stream(archive: Path) -> Any:
    """The tar itself, whatever it is packed with."""
    with archive.open("rb") as stream:
        head = stream.read(6)
    openers: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    found = next((opener for magic, opener in openers.items() if head.startswith(magic)), None)
    return found(archive) if found else archive.open("rb")


class _Bounded:
    """A stream that hands out no more than a header in one piece: a tar may claim that a name has gigabytes."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes. Raises ValueError for more than a header has."""
        if not 0 <= size <= HEADER:
            raise ValueError(f"a header of {size} bytes")
        data: bytes = self.stream.read(size)
        return data


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{shown(archive)}: {shown(info.filename)!r} is a link or a device; nothing was unpacked")
        yield info.filename, None if info.is_dir() else partial(packed.open, info)


def _tar_members(archive: Path, packed: tarfile.TarFile) -> Iterator[Member]:
    for info in packed:
        if not (info.isreg() or info.isdir()):
            raise DataError(f"{shown(archive)}: {shown(info.name)!r} is a link or a device; nothing was unpacked")
        yield info.name, None if info.isdir() else partial(packed.extractfile, info)


def _stem(archive: Path) -> str:
    name = archive.name.lower()
    return archive.name[: -len(next(ending for ending in ENDINGS[::-1] if name.endswith(ending)))]
