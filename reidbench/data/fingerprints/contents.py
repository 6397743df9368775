"""Hash files by content, each once: files that the index proves unchanged are not read again."""

from __future__ import annotations

import array
import errno
import hashlib
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidbench.files.cache import cache_folder
from reidbench.files.names import shown

from .index import STAT, Index

BLOCK = 1 << 20
CHUNK = 64  # files that a thread hashes before it takes more
THREADS = 8  # small files on a network drive are bound by latency, so more threads than cores help
FIRST, EVERY = 3.0, 15.0  # seconds until the first progress line, and between later ones
_everything: ContextVar[bool] = ContextVar("everything", default=False)
_said: set[Path] = set()


@dataclass(frozen=True)
class Hashed:
    """sha256 of files [N, 32] uint8, and by position the errors of files that could not be read."""

    digests: np.ndarray
    errors: dict[int, OSError]

    def hex(self, index: int) -> str:
        """Hash of one file, in hexadecimal. Raises OSError if the file could not be read."""
        if index in self.errors:
            raise self.errors[index]
        return str(self.digests[index].tobytes().hex())


@contextmanager
def hashing_everything() -> Iterator[None]:
    """Read every file inside this context, and update the index from it."""
    token = _everything.set(True)
    try:
        yield
    finally:
        _everything.reset(token)


def hash_content(file: str | os.PathLike[str], progress: _Progress | None = None) -> bytes:
    """sha256 of one file, without the index. Raises OSError if it cannot be read, or is a pipe or a device."""
    _check_ordinary(os.stat(file), file)  # noqa: PTH116 - half a million of them
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        digest = hashlib.sha256()
        while block := os.read(handle, BLOCK):
            digest.update(block)
            if progress is not None:
                progress.add(len(block))
        return digest.digest()
    finally:
        os.close(handle)


def _check_ordinary(info: os.stat_result, file: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(info.st_mode):  # reading a pipe may never end
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(file))


def hash_files(root: Path, paths: Sequence[str], cache: Path | None = None) -> Hashed:
    """sha256 of files under `root`, reading only files that may have changed. Links resolve to their target's content.

    The index is in `cache`, by default the user's cache folder. If the cache is not writable, files are hashed at every
    call, and a line says so.
    """
    cache = cache or cache_folder()
    index = Index(root, cache)
    stats, errors = _stat_all(index, root, paths)
    known, digests = index.known(stats)
    todo = np.flatnonzero(~known | _everything.get())
    todo = todo[~np.isin(todo, list(errors))]
    if not len(todo):
        return Hashed(digests, errors)
    index.start()
    done = np.zeros(len(paths), dtype=bool)
    digests = digests.copy()
    try:
        for number, answer in _hash_all(root, paths, stats, todo.tolist()):
            if isinstance(answer, OSError):
                errors[number] = answer
            else:
                digests[number] = np.frombuffer(answer, dtype=np.uint8)
                done[number] = True
    finally:  # an interrupted run keeps what it has hashed
        _keep(index, stats[done], digests[done], len(paths))
    return Hashed(digests, errors)


def _stat_all(index: Index, root: Path, paths: Sequence[str]) -> tuple[np.ndarray, dict[int, OSError]]:
    errors: dict[int, OSError] = {}
    rows = array.array("Q")
    for number, path in enumerate(paths):
        try:
            rows.extend(index.stat_row(os.stat(f"{root}/{path}")))  # noqa: PTH116 - half a million of them
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            errors[number] = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error), path)
            rows.extend((0,) * STAT)
    return np.array(rows, dtype=np.uint64).reshape(len(paths), STAT), errors


def _hash_all(
    root: Path, paths: Sequence[str], stats: np.ndarray, todo: list[int]
) -> Iterator[tuple[int, bytes | OSError]]:
    """Yield (position, hash or error) of each file in `todo`, from a few threads: hashing releases the GIL."""
    progress = _Progress(root, int(stats[todo, 2].sum()))

    def work(numbers: list[int]) -> list[tuple[int, bytes | OSError]]:
        return [(number, _hash_one(f"{root}/{paths[number]}", progress)) for number in numbers]

    chunks = [todo[start : start + CHUNK] for start in range(0, len(todo), CHUNK)]
    if len(chunks) == 1:
        yield from work(todo)
        return
    pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
    try:
        for answers in pool.map(work, chunks):
            yield from answers
    finally:
        pool.shutdown(cancel_futures=True)


def _hash_one(file: str, progress: _Progress) -> bytes | OSError:
    try:
        return hash_content(file, progress)
    except OSError as error:
        return error


def _keep(index: Index, stats: np.ndarray, digests: np.ndarray, in_use: int) -> None:
    try:
        index.learn(stats, digests, in_use)
    except OSError as error:
        folder = index.file.parent
        if folder not in _said:
            _said.add(folder)
            why = error.strerror or error
            _say(f"{shown(folder)}: is not writable ({why}): data sets are hashed again at every start")


class _Progress:
    """Print a progress line now and then during long hashing."""

    def __init__(self, root: Path, total: int) -> None:
        self.root, self.total, self.done = root, total, 0
        self.next = time.monotonic() + FIRST
        self.lock = threading.Lock()

    def add(self, size: int) -> None:
        with self.lock:
            self.done += size
            now = time.monotonic()
            if now < self.next:
                return
            self.next = now + EVERY
        _say(f"{shown(self.root)}: hashing new and changed files: {_size(self.done)} of {_size(self.total)}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _say(text: str) -> None:
    print(f"reidbench: {text}", file=sys.stderr, flush=True)
