"""The zip files that packs are: one form for each content, written and read to the last byte.

Every entry is stored as it is, in the order of names, with a fixed date and mode and nothing optional. A file that
is not exactly what `write_archive` makes of its entries is refused: that leaves no room for compressed or encrypted
entries, links, entries that overlap or lie about their size, and data before, between or after them.
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

MOST_ENTRIES = 65_535  # the form has no room for more
LARGEST_ARCHIVE = 2**32 - 1  # bytes; likewise
LONGEST_NAME = 1000  # bytes
CHUNK = 1 << 20

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
MADE_BY = 3 << 8 | 20  # on Unix, by version 2.0 of the format
DATE = 1 << 5 | 1  # 1980-01-01, the first that there is
MODE = (stat.S_IFREG | 0o644) << 16
CENTRAL_SIZE, END_SIZE, LOCAL_SIZE = 46, 22, 30

Content = bytes | Path  # a path is of a file that does not change meanwhile


@dataclass(frozen=True)
class Entry:
    """An entry: its checksum of zip files, its bytes, and where its header begins."""

    crc: int
    size: int
    place: int

    def content_at(self, name: str) -> int:
        """Where its bytes begin."""
        return self.place + LOCAL_SIZE + len(name.encode())


@dataclass(frozen=True)
class Sums:
    """What is computed of the bytes of an entry."""

    size: int
    crc: int
    sha256: str


def sums(content: Content) -> Sums:
    """Size and checksums of what is to become an entry. Raises OSError."""
    size, crc, digest = 0, 0, hashlib.sha256()
    for part in _parts(content):
        size, crc = size + len(part), zlib.crc32(part, crc)
        digest.update(part)
    return Sums(size, crc, digest.hexdigest())


def write_archive(stream: BinaryIO, contents: Mapping[str, Content], known: Mapping[str, Sums]) -> None:
    """Write an archive of these entries; `known` are the sums of each. Raises ReidbenchError for too many or too much.

    Raises OSError.
    """
    place, entries = 0, {}
    for name in sorted(contents):
        entries[name] = Entry(known[name].crc, known[name].size, place)
        place = entries[name].content_at(name) + known[name].size
    total = place + sum(CENTRAL_SIZE + len(name.encode()) for name in entries) + END_SIZE
    if len(entries) > MOST_ENTRIES or total > LARGEST_ARCHIVE:
        raise ReidbenchError(
            f"a pack has at most {MOST_ENTRIES} files and {LARGEST_ARCHIVE} bytes, and this one would have "
            f"{len(entries)} and {total}: make several, with --only, or leave --features out"
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
    """What comes after the contents: a header of each entry again, and the end."""
    parts = []
    for name, entry in entries.items():
        raw = name.encode()
        fields = MADE_BY, 20, 0, 0, 0, DATE, entry.crc, entry.size, entry.size, len(raw), 0, 0, 0, 0, MODE, entry.place
        parts.append(CENTRAL + struct.pack("<6H3I5H2I", *fields) + raw)
    headers = b"".join(parts)
    count = len(entries)
    return headers + END + struct.pack("<4H2IH", 0, 0, count, count, len(headers), place, 0)


class Archive:
    """An archive that was opened: every header is what `write_archive` writes. Contents are read when asked for."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises ReidbenchError where it is not such an archive, or cannot be read."""
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
        """The bytes of an entry, verified with the checksum of zip files."""
        return b"".join(self.parts(name))

    def parts(self, name: str) -> Iterator[bytes]:
        """The bytes of an entry, piece by piece. Raises ReidbenchError at the end where its checksum is another."""
        entry = self.entries[name]
        self._stream.seek(entry.content_at(name))
        left, crc = entry.size, 0
        while left:
            part = self._stream.read(min(left, CHUNK))
            if not part:
                raise self.wrong(f"ends within {name}")
            left, crc = left - len(part), zlib.crc32(part, crc)
            yield part
        if crc != entry.crc:
            raise self.wrong(f"{name} is damaged: its checksum is another")

    def wrong(self, what: str) -> ReidbenchError:
        """An error about this file."""
        return ReidbenchError(f"{shown(self.path)}: not a sound pack: {what}")

    def _read_entries(self) -> dict[str, Entry]:
        size = os.fstat(self._stream.fileno()).st_size
        if size > LARGEST_ARCHIVE:
            raise self.wrong(f"it has {size} bytes, and a pack has at most {LARGEST_ARCHIVE}")
        if size < END_SIZE or self._at(size - END_SIZE, 4) != END:
            raise self.wrong("it does not end as a pack does")
        end = self._at(size - END_SIZE, END_SIZE)
        count, length, place = struct.unpack("<H2I", end[10:20])
        if place + length + END_SIZE != size or length > count * (CENTRAL_SIZE + LONGEST_NAME):
            raise self.wrong("the list of its files is not where the end of the file says")
        tail = self._at(place, length) + end
        entries = self._listed(tail, count)
        if _tail(entries, place) != tail:
            raise self.wrong("the list of its files is not in the form of a pack (nothing compressed, linked or added)")
        self._check_places(entries, place)
        return entries

    def _listed(self, tail: bytes, count: int) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        at, before = 0, ""
        for _ in range(count):
            header = tail[at : at + CENTRAL_SIZE]
            if len(header) < CENTRAL_SIZE:
                raise self.wrong("it names fewer files than it counts")
            crc, _, size, length = struct.unpack("<3IH", header[16:30])
            raw = tail[at + CENTRAL_SIZE : at + CENTRAL_SIZE + length]
            if not raw.isascii() or not raw or len(raw) > LONGEST_NAME:
                raise self.wrong("a file has a name that no pack contains")
            name = raw.decode("ascii")
            if name <= before:
                raise self.wrong(f"{shown(name)} is there twice, or its files are not in the order of their names")
            found[name] = Entry(crc, size, struct.unpack("<I", header[42:46])[0])
            at, before = at + CENTRAL_SIZE + length, name
        return found

    def _check_places(self, entries: Mapping[str, Entry], end: int) -> None:
        """Each entry begins where the one before ends, with the header that belongs to it."""
        place = 0
        for name, entry in entries.items():
            begins = entry.content_at(name)
            if entry.place != place or begins + entry.size > end:
                raise self.wrong(f"{shown(name)} lies over another file, or outside")
            if self._at(place, begins - place) != _local(name, entry):
                raise self.wrong(f"the header of {shown(name)} is not that of a pack, or differs from the list")
            place = begins + entry.size
        if place != end:
            raise self.wrong("there is something between its files and their list")

    def _at(self, place: int, length: int) -> bytes:
        self._stream.seek(place)
        return self._stream.read(length)


def _opened(path: Path) -> BinaryIO:
    """A regular file, opened to read. Raises ReidbenchError; opening a pipe would wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ReidbenchError(f"{shown(path)}: cannot be read: {reason}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ReidbenchError(f"{shown(path)}: not a file")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, which the archive closes
