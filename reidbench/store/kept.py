"""Data that a store keeps besides artifacts: manifests without files, boards of runs, lists of packages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import StoreError
from reidbench.files.atomic import write_whole
from reidbench.files.filesystem import in_the_way, is_foreign, regular_bytes

from .manifests import KEY

DIGITS = 32  # of a SHA-256, in file names
DATE = re.compile(rb'\{"date": "([^"]*)"')
LARGEST_BOARD = 256 << 20  # bytes


@dataclass(frozen=True)
class KeptBoard:
    """Recorded board and the time of its first run: `2026-01-31T12:00:00Z`, or "" if unknown.

    `source` is the pack that it came from; "" if a run in this store recorded it.
    """

    digest: str
    date: str
    source: str
    board: Mapping[str, Any]


class Kept:
    """The folders `records`, `boards` and `environments` of a store. Files in them are never overwritten."""

    root: Path

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Convert write errors of the file system (full, read-only, too many files) to a StoreError."""
        try:
            yield
        except OSError as error:
            reason = f"{error.strerror or error}{in_the_way(error)}"
            raise StoreError(f"{self.root}: the store cannot be written: {reason}") from error

    def _place(self, *parts: str) -> Path:
        path = self.root.joinpath(*parts)
        with self.writing():
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def files(self, folder: str) -> list[Path]:
        """Return the sorted entries of one of the store's folders, without those of file systems and desktops."""
        try:
            place = self.root / folder
            return [place / name for name in sorted(os.listdir(place)) if not is_foreign(name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.root / folder}: the store cannot be read: {error.strerror}") from None

    def _keep(self, folder: str, name: str, text: bytes) -> bool:
        """Write a file unless it exists. Returns whether it was written. Raises StoreError."""
        file = self._place(folder, f"{name}.json")
        with self.writing():
            if file.is_file():
                return False
            write_whole(file, text)
            return True

    # ------------------------------------------------------------------ manifests without files
    def record_file(self, key: str) -> Path:
        """Return the path of a manifest kept without its files."""
        return self.root / "records" / f"{key}.json"

    def records(self) -> set[str]:
        """Return the keys of all manifests kept without the artifact."""
        return {file.stem for file in self.files("records") if file.suffix == ".json" and KEY.fullmatch(file.stem)}

    def keep_record(self, key: str, manifest: bytes | str) -> bool:
        """Keep the text of a manifest, verified when read, without its files. Returns whether it is new.

        `manifest` and `facts` fall back to it if the artifact is not published. Raises StoreError.
        """
        if not KEY.fullmatch(key):
            raise StoreError(f"{self.root}: {key[:60]!r} is not a valid key of an artifact")
        return self._keep("records", key, manifest.encode() if isinstance(manifest, str) else manifest)

    def drop_record(self, key: str) -> None:
        """Remove a kept manifest, if there is one. Raises StoreError."""
        with self.writing():
            self.record_file(key).unlink(missing_ok=True)

    # ------------------------------------------------------------------ boards
    def board_file(self, digest: str) -> Path:
        """Return the path of a kept board."""
        return self.root / "boards" / f"{digest}.json"

    def save_board(self, board: Mapping[str, Any], date: str | None = None, source: str = "") -> str:
        """Keep a recorded board with its date, by default now. Returns its digest.

        One that exists stays, unless its date is later: the date is that of its first run.
        """
        digest = board_digest(board)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        content = {"date": now if date is None else date, "source": source, "board": board}
        text = (json.dumps(content, allow_nan=False) + "\n").encode()
        if not self._keep("boards", digest, text) and date and date.encode() < _date(self.board_file(digest)):
            with self.writing():
                write_whole(self.board_file(digest), text)
        return digest

    def boards(self) -> Iterator[KeptBoard]:
        """Yield the kept boards by date, without damaged and invalid ones.

        Reads one at a time: boards of large matrices have many megabytes.
        """
        for file in sorted(self.files("boards"), key=lambda file: (_date(file), file.name)):
            board = _board(file)
            if board is not None:
                yield board

    # ------------------------------------------------------------------ packages
    def keep_environment(self, packages: Mapping[str, str]) -> str:
        """Keep a list of packages, version by name, unless it exists. Returns its digest. Raises StoreError."""
        digest = environment_digest(packages)
        if not (self.root / "environments" / f"{digest}.json").is_file():
            self._keep("environments", digest, (json.dumps(dict(packages), indent=1, sort_keys=True) + "\n").encode())
        return digest

    def environment(self, digest: str) -> Mapping[str, str] | None:
        """Return the packages of a digest, version by name; None if they are missing or damaged."""
        if not KEY.fullmatch(digest):
            return None
        try:
            found = json.loads(regular_bytes(self.root / "environments" / f"{digest}.json"))
        except (OSError, ValueError, RecursionError):
            return None
        whole = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
        return found if whole and environment_digest(found) == digest else None


def board_digest(board: Mapping[str, Any]) -> str:
    """Return the digest of a board's canonical JSON. Raises ValueError for values without an exact JSON form."""
    return _digest(json.dumps(board, sort_keys=True, separators=(",", ":"), allow_nan=False))


def environment_digest(packages: Mapping[str, str]) -> str:
    """Return the digest of a list of packages, from its sorted lines "name==version"."""
    return _digest("\n".join(sorted(f"{name}=={version}" for name, version in packages.items())))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _date(file: Path) -> bytes:
    """Return the date of a board, from the beginning of its file."""
    if not file.is_file():  # opening a fifo would block
        return b""
    try:
        with file.open("rb") as stream:
            found = DATE.match(stream.read(100))
    except OSError:
        return b""
    return found[1] if found else b""


def _board(file: Path) -> KeptBoard | None:
    try:
        found = json.loads(regular_bytes(file, LARGEST_BOARD))
        date, source, board = found["date"], found["source"], found["board"]
        whole = isinstance(date, str) and isinstance(source, str) and isinstance(board, dict)
        whole = whole and board_digest(board) == file.stem
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return KeptBoard(file.stem, date, source, board) if whole else None
