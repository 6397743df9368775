"""Index of content hashes: earlier hashes, and whether a file's times prove it unchanged.

An entry holds a file's size, mtime, ctime and inode (times in nanoseconds) and its sha256. A file with the same numbers
has not changed. In three cases it is hashed again anyway:

- It was modified within two seconds before it was hashed. It may have changed again within one tick of the file
  system's clock without a trace (git calls such an entry racy).
- The clock of its file system is unknown, as on a network drive, so that "two seconds before" means nothing. Such a
  file is trusted once it has been hashed twice, at least a minute apart, with the same numbers: that needs no common
  clock.
- Its ctime has no fraction of a second. File systems in an image (squashfs, ISO) and some network drives copy ctime
  from the original file, so it proves nothing.

An entry from the future is not trusted either: the clock has been set back.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from reidbench.files.atomic import write_whole

SECOND = 10**9
RACY = 2 * SECOND
APART = 60 * SECOND
FOLDER = ".contents"  # hidden: a data set around the cache must not change with it
MAGIC = b"reidbench contents 1\n"
DIGEST = hashlib.sha256().digest_size
STAT = 5  # device, inode, size, mtime, ctime
SEEN, SETTLED = STAT, STAT + 1  # when these numbers were first seen here, and whether they prove anything
MASK = 2**64 - 1  # times before 1970 are negative
SPREAD = np.uint64(0x9E3779B97F4A7C15)
KEPT = 4  # entries kept per entry in use: files replaced by renaming leave old ones


class Index:
    """Hashes of files under one root, kept in one file of the cache. A damaged file counts as empty.

    Files are rows of `stat_row`, [N, 5] uint64; hashes are [N, 32] uint8.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
        self.file = Path(cache) / FOLDER / f"{name}.index"
        self.now = time.time_ns()
        self.home = _device(root)
        self.numbers, self.digests = _load(self.file)  # ordered by _key
        self.clock: tuple[int, int] | None = None  # device and time of a file just written to the cache

    def known(self, stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (whether each file's numbers prove it unchanged [N] bool, the hashes [N, 32])."""
        at, same = self._find(stats)
        if not len(self.numbers):
            return same, np.zeros((len(stats), DIGEST), dtype=np.uint8)
        trusted = same & (self.numbers[at, SETTLED] == 1) & (self.numbers[at, SEEN] <= self.now)
        return trusted, self.digests[at]

    def start(self) -> None:
        """Record the time by the cache's clock, before hashing starts."""
        self.now = time.time_ns()
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.file.parent) as probe:
                probe.write(b"now")
                probe.flush()
                info = os.fstat(probe.fileno())
                self.clock = info.st_dev, info.st_mtime_ns

    def learn(self, stats: np.ndarray, digests: np.ndarray, in_use: int) -> None:
        """Store the hashes of files, with the numbers that they had before they were opened, and write the index.

        `in_use` is the total number of files requested. Raises OSError if the cache is not writable.
        """
        numbers = np.column_stack([stats, self._first_seen(stats, digests), np.zeros(len(stats), dtype=np.uint64)])
        numbers[:, SETTLED] = self._settled(numbers)
        keys, first = np.unique(_keys(numbers), return_index=True)  # hard links are one file
        old = ~np.isin(_keys(self.numbers), keys)
        if old.sum() > KEPT * in_use:
            old[:] = False
        numbers = np.concatenate([numbers[first], self.numbers[old]])
        order = np.argsort(_keys(numbers))
        self.numbers = numbers[order]
        self.digests = np.concatenate([digests[first], self.digests[old]])[order]
        _write(self.file, self.numbers, self.digests)

    def stat_row(self, info: os.stat_result) -> tuple[int, int, int, int, int]:
        """The numbers of a file's stat that must not change.

        The root's own device is 0: a network drive has a different number on each machine.
        """
        device = 0 if info.st_dev == self.home else info.st_dev & MASK
        return device, info.st_ino & MASK, info.st_size, info.st_mtime_ns & MASK, info.st_ctime_ns & MASK

    def _find(self, stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (candidate row of the index for each file, whether all its numbers match)."""
        if not len(self.numbers):
            return np.zeros(len(stats), dtype=np.int64), np.zeros(len(stats), dtype=bool)
        at = np.searchsorted(_keys(self.numbers), _keys(stats)).clip(max=len(self.numbers) - 1)
        return at, (self.numbers[at, :STAT] == stats).all(1)

    def _first_seen(self, stats: np.ndarray, digests: np.ndarray) -> np.ndarray:
        """Time, by this machine's clock, since which each file has had these numbers and this content."""
        at, same = self._find(stats)
        if not len(self.numbers):
            return np.full(len(stats), self.now, dtype=np.uint64)
        seen = self.numbers[at, SEEN]
        same &= (self.digests[at] == digests).all(1) & (seen <= self.now)
        return np.where(same, seen, np.uint64(self.now))

    def _settled(self, numbers: np.ndarray) -> np.ndarray:
        """Whether equal numbers will prove identical contents, for files hashed after `start`."""
        times = numbers[:, 3:STAT].astype(np.int64)
        clocks = {int(device): self._clock_of(int(device) or self.home) for device in np.unique(numbers[:, 0])}
        clock = np.array([clocks[device] for device in numbers[:, 0].tolist()], dtype=np.int64)
        old = clock - times.max(1) > RACY
        watched = self.now - numbers[:, SEEN].astype(np.int64) > APART
        return np.asarray((old | watched) & (times[:, 1] % SECOND != 0))

    def _clock_of(self, device: int) -> int:
        """Current time on a file system; if unknown, a time so early that no file is old enough."""
        if self.clock is not None and self.clock[0] == device:
            return self.clock[1]
        # Linux gives local disks a major number, and everything else (including network drives) 0.
        return self.now if sys.platform == "linux" and os.major(device) else -(2**62)


def _device(root: Path) -> int:
    try:
        return root.stat().st_dev
    except OSError:
        return MASK


def _keys(numbers: np.ndarray) -> np.ndarray:
    """One number per device and inode. If two files share it, the index keeps one, and the other is hashed again."""
    return np.asarray(numbers[:, 1] + numbers[:, 0] * SPREAD)


def _write(file: Path, numbers: np.ndarray, digests: np.ndarray) -> None:
    """Write a checksum, the numbers [N, 7] and the hashes [N, 32] atomically, by one rename."""
    payload = numbers.astype("<u8").tobytes() + digests.tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, MAGIC + hashlib.sha256(payload).digest() + payload)


def _load(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Load the numbers and hashes of a file; empty if it is missing, unreadable or damaged."""
    try:
        data = file.read_bytes()
    except OSError:
        data = b""
    head = len(MAGIC) + DIGEST
    payload = memoryview(data)[head:]
    width = 8 * (STAT + 2)
    count, rest = divmod(len(payload), width + DIGEST)
    if rest or data[:head] != MAGIC + hashlib.sha256(payload).digest():
        count = 0
    numbers = np.frombuffer(payload[: count * width], dtype="<u8").reshape(count, STAT + 2)
    digests = np.frombuffer(payload[count * width : count * (width + DIGEST)], dtype=np.uint8).reshape(count, DIGEST)
    return numbers.astype(np.uint64), digests
