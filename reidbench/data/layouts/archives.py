"""Archives given in place of a folder: extracted once, into the cache and never outside it."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import shutil
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
from reidbench.files.atomic import whole_folder, write_whole
from reidbench.files.names import shown
from reidbench.files.placeholders import refuse_placeholder

LIMIT = 200 * 2**30  # bytes that an archive may extract to; the largest set of the field, LUPerson, has about 100 GB
FILES = 10_000_000
# An archive of images extracts to about its own size, one of text to ten times that, a zip bomb to thousands of times.
RATIO = 200
SLACK = 64 << 20
BLOCK = 1 << 20
HEADER = 4 << 20  # limit for the header of one tar entry: names, times, owners
DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError, OSError,
    zlib.error, lzma.LZMAError, struct.error, ValueError, ArithmeticError, LookupError, MemoryError,
)  # fmt: skip
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
Member = tuple[str, Callable[[], Any] | None]  # path in the archive, and a function that opens it; None for a folder


def is_archive(path: Path) -> bool:
    """Whether `path` is a file with an archive's extension."""
    return path.name.lower().endswith(ENDINGS) and path.is_file()


def unpack(archive: Path, cache: Path, *, limit: int = LIMIT) -> Path:
    """Return the folder with the archive's files, extracting it if needed.

    An extracted folder is used again if it still has the files that it was extracted with, by names and sizes;
    otherwise, for example after a clean-up of old files, it is extracted again.
    Raises DataError if the archive is damaged or empty, extracts to more than `limit` bytes or `RATIO` times its own
    size, or contains a path outside the target or anything but files and folders. The folder is renamed into place once
    it is complete.
    """
    refuse_placeholder(archive)
    target = cache / "unpacked" / f"{_stem(archive)}-{fingerprint_file(archive, cache)[:16]}"
    listed = target.with_name(f"{target.name}.files")
    if target.is_dir() and listed.is_file() and listed.read_bytes() == _listing(target):
        return target
    limit = min(limit, RATIO * archive.stat().st_size + SLACK)
    try:
        if target.exists():
            shutil.rmtree(target)
        with whole_folder(target, mode=0o700) as work, _members(archive) as members:
            # As private as the archive may be.
            _write(archive, work, members, limit)
            write_whole(listed, _listing(work))  # before the folder is in place, which is not used without it
    except DAMAGED as error:
        why = shown(str(error) or type(error).__name__)
        raise DataError(f"{shown(archive)}: cannot be extracted: {why}") from error
    return target


def _listing(folder: Path) -> bytes:
    """Hash of the paths and sizes of all files under a folder, as text."""
    files = (path for path in folder.rglob("*") if path.is_file())
    sizes = sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in files)
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest().encode()


def inner_folder(folder: Path) -> Path:
    """Descend through folders that contain only one folder, as archives often do."""
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
            # Mode "x" never follows links or overwrites: it fails for a repeated name, and for a file that is also a
            # folder.
            with file.open("xb") as out:
                while block := source.read(BLOCK):
                    done += len(block)
                    if done > limit:
                        raise DataError(f"{shown(archive)}: extracts to more than the limit of {limit} bytes")
                    out.write(block)


def _safe(archive: Path, name: str) -> PurePosixPath:
    """The member's path. Raises DataError if it is outside the target."""
    path = PurePosixPath(name)
    drive = "\\" in name or (len(name) > 1 and name[1] == ":")
    if path.is_absolute() or ".." in path.parts or drive or "\0" in name:
        raise DataError(f"{shown(archive)}: {shown(name)!r} is outside the target folder; nothing was extracted")
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
    """The uncompressed tar stream, for any compression."""
    with archive.open("rb") as stream:
        head = stream.read(6)
    openers: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    found = next((opener for magic, opener in openers.items() if head.startswith(magic)), None)
    return found(archive) if found else archive.open("rb")


class _Bounded:
    """A stream that returns no more than a header at once: a tar may claim that a name has gigabytes."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes. Raises ValueError if `size` exceeds the limit of a header."""
        if not 0 <= size <= HEADER:
            raise ValueError(f"a header of {size} bytes")
        data: bytes = self.stream.read(size)
        return data


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{shown(archive)}: {shown(info.filename)!r} is a link or a device; nothing was extracted")
        yield info.filename, None if info.is_dir() else partial(packed.open, info)


def _tar_members(archive: Path, packed: tarfile.TarFile) -> Iterator[Member]:
    for info in packed:
        if not (info.isreg() or info.isdir()):
            raise DataError(f"{shown(archive)}: {shown(info.name)!r} is a link or a device; nothing was extracted")
        yield info.name, None if info.isdir() else partial(packed.extractfile, info)


def _stem(archive: Path) -> str:
    name = archive.name.lower()
    return archive.name[: -len(next(ending for ending in ENDINGS[::-1] if name.endswith(ending)))]
