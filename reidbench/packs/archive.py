"""The zip format of packs: the same contents give the same bytes.

Entries are stored uncompressed, sorted by name, with a fixed date and mode and no optional fields. A file that differs
from what `write_archive` writes for its entries is refused. This excludes compressed or encrypted entries, links,
entries that overlap or have a false size, and data before, between or after them.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

MOST_ENTRIES = 65_535  # limit of the zip format
LARGEST_ARCHIVE = 2**32 - 1  # bytes; limit of the zip format
LONGEST_NAME = 1000  # bytes
CHUNK = 1 << 20

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
MADE_BY = 3 << 8 | 20  # on Unix, by version 2.0 of the format
DATE = 1 << 5 | 1  # 1980-01-01, the earliest possible date
MODE = (stat.S_IFREG | 0o644) << 16
CENTRAL_SIZE, END_SIZE, LOCAL_SIZE = 46, 22, 30

Content = bytes | Path  # a path must not change while it is read


@dataclass(frozen=True)
class Entry:
    """An entry: CRC, size in bytes, and offset of its header."""

    crc: int
    size: int
    place: int

    def content_at(self, name: str) -> int:
        """Return the offset of its contents."""
        return self.place + LOCAL_SIZE + len(name.encode())


@dataclass(frozen=True)
class Sums:
    """Size and checksums of an entry."""

    size: int
    crc: int
    sha256: str


def sums(content: Content) -> Sums:
    """Return size and checksums of a future entry. Raises OSError."""
    size, crc, digest = 0, 0, hashlib.sha256()
    for part in _parts(content):
        size, crc = size + len(part), zlib.crc32(part, crc)
        digest.update(part)
    return Sums(size, crc, digest.hexdigest())


def write_archive(stream: BinaryIO, contents: Mapping[str, Content], known: Mapping[str, Sums]) -> None:
    """Write an archive of these entries with their `known` sums.

    Raises ReidbenchError for too many or too large entries, and OSError.
    """
    place, entries = 0, {}
    for name in sorted(contents):
        entries[name] = Entry(known[name].crc, known[name].size, place)
        place = entries[name].content_at(name) + known[name].size
    total = place + sum(CENTRAL_SIZE + len(name.encode()) for name in entries) + END_SIZE
    if len(entries) > MOST_ENTRIES or total > LARGEST_ARCHIVE:
        raise ReidbenchError(
            f"the pack would have {len(entries)} files and {total} bytes, and the limits are {MOST_ENTRIES} and "
            f"{LARGEST_ARCHIVE}: write several packs with --only, or omit --features"
        )
    for name, entry in entries.items():
        stream.write(_local(name, entry))
        for part in _parts(contents[name]):
            stream.write(part)
    stream.write(_tail(entries, place))


def _parts(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as stream:
        while part := stream.read(CHUNK):
            yield part


def _local(name: str, entry: Entry) -> bytes:
    raw = name.encode()
    fields = 20, 0, 0, 0, DATE, entry.crc, entry.size, entry.size, len(raw), 0
    return LOCAL + struct.pack("<5H3I2H", *fields) + raw


def _tail(entries: Mapping[str, Entry], place: int) -> bytes:
    """Return the central directory and the end record."""
    parts = []
    for name, entry in entries.items():
        raw = name.encode()
        fields = MADE_BY, 20, 0, 0, 0, DATE, entry.crc, entry.size, entry.size, len(raw), 0, 0, 0, 0, MODE, entry.place
        parts.append(CENTRAL + struct.pack("<6H3I5H2I", *fields) + raw)
    headers = b"".join(parts)
    count = len(entries)
    return headers + END + struct.pack("<4H2IH", 0, 0, count, count, len(headers), place, 0)


class Archive:
    """An open archive; all headers are verified on opening, contents are read on demand."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises ReidbenchError if it is not such an archive or cannot be read."""
        self.path = path
        self._stream = _opened(path)
        try:
            self.entries = self._read_entries()
        except OSError as error:
            self._stream.close()
            raise ReidbenchError(f"{shown(path)}: cannot be read: {error.strerror}") from None
        except BaseException:
            self._stream.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def read(self, name: str) -> bytes:
        """Return the bytes of an entry, verified by CRC."""
        return b"".join(self.parts(name))

    def parts(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of an entry in chunks. Raises ReidbenchError at the end if the CRC differs."""
        entry = self.entries[name]
        self._stream.seek(entry.content_at(name))
        left, crc = entry.size, 0
        while left:
            part = self._stream.read(min(left, CHUNK))
            if not part:
                raise self.wrong(f"it ends within {name}")
            left, crc = left - len(part), zlib.crc32(part, crc)
            yield part
        if crc != entry.crc:
            raise self.wrong(f"{name} is damaged: its checksum differs")

    def wrong(self, what: str) -> ReidbenchError:
        """Return an error about this file."""
        return ReidbenchError(f"{shown(self.path)}: not a valid pack: {what}")

    def _read_entries(self) -> dict[str, Entry]:
        size = os.fstat(self._stream.fileno()).st_size
        if size > LARGEST_ARCHIVE:
            raise self.wrong(f"it has {size} bytes, and the limit is {LARGEST_ARCHIVE}")
        if size < END_SIZE or self._at(size - END_SIZE, 4) != END:
            raise self.wrong("the end record is missing")
        end = self._at(size - END_SIZE, END_SIZE)
        count, length, place = struct.unpack("<H2I", end[10:20])
        if place + length + END_SIZE != size or length > count * (CENTRAL_SIZE + LONGEST_NAME):
            raise self.wrong("the end record does not match the list of files")
        tail = self._at(place, length) + end
        entries = self._listed(tail, count)
        if _tail(entries, place) != tail:
            raise self.wrong("the list of files is not in the form of a pack (compressed, linked or extra data)")
        self._check_places(entries, place)
        return entries

    def _listed(self, tail: bytes, count: int) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        at, before = 0, ""
        for _ in range(count):
            header = tail[at : at + CENTRAL_SIZE]
            if len(header) < CENTRAL_SIZE:
                raise self.wrong("it lists fewer files than it counts")
            crc, _, size, length = struct.unpack("<3IH", header[16:30])
            raw = tail[at + CENTRAL_SIZE : at + CENTRAL_SIZE + length]
            if not raw.isascii() or not raw or len(raw) > LONGEST_NAME:
                raise self.wrong("a file has an invalid name")
            name = raw.decode("ascii")
            if name <= before:
                raise self.wrong(f"{shown(name)} appears twice, or the files are not sorted by name")
            found[name] = Entry(crc, size, struct.unpack("<I", header[42:46])[0])
            at, before = at + CENTRAL_SIZE + length, name
        return found

    def _check_places(self, entries: Mapping[str, Entry], end: int) -> None:
        """Check that entries are contiguous and that their headers match the list."""
        place = 0
        for name, entry in entries.items():
            begins = entry.content_at(name)
            if entry.place != place or begins + entry.size > end:
                raise self.wrong(f"{shown(name)} overlaps another file or exceeds the archive")
            if self._at(place, begins - place) != _local(name, entry):
                raise self.wrong(f"the header of {shown(name)} has a different form or differs from the list")
            place = begins + entry.size
        if place != end:
            raise self.wrong("there is data between the files and their list")

    def _at(self, place: int, length: int) -> bytes:
        self._stream.seek(place)
        return self._stream.read(length)


def _opened(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises ReidbenchError, also for a pipe, which would block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ReidbenchError(f"{shown(path)}: cannot be read: {reason}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ReidbenchError(f"{shown(path)}: not a file")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor that the archive closes
