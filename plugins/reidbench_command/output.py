"""A program's output: its beginning and end are logged, with secret values masked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from reidbench.files.filesystem import appended
from reidbench.files.names import shown

HEAD = TAIL = 1 << 18  # bytes kept from the beginning and from the end
RECENT = 1 << 12  # bytes searched for the last line
MASK = b"***"
SHORTEST = 4  # characters; shorter values, such as 0 or 1, are not secret and occur everywhere


class Output:
    """Receives a program's output in blocks; `last_line` is the last line that is not empty."""

    def __init__(self, log: Path | None, values: Iterable[str]) -> None:
        self._file: BinaryIO = appended(log) if log else os.fdopen(os.open(os.devnull, os.O_WRONLY), "wb")
        secrets = sorted({value.encode() for value in values if len(value) >= SHORTEST}, key=len, reverse=True)
        # Longest first, since one value may be a prefix of another; without values the pattern matches nothing.
        self._secret = re.compile(b"|".join(map(re.escape, secrets)) or b"(?!)")
        self._longest = len(secrets[0]) if secrets else 1
        self._held = b""  # end of the last block, which may contain the beginning of a secret
        self._room = HEAD
        self._tail = bytearray()
        self._left_out = 0
        self._recent = b""

    def title(self, line: str) -> None:
        """Write a line that is not part of the program's output."""
        self._file.write(self._masked(line.encode(errors="surrogateescape")) + b"\n")

    def write(self, block: bytes) -> None:
        """Process the next block."""
        text = self._held + block
        # A match that begins before this position is complete, even for the longest secret.
        cut = max(len(text) - self._longest + 1, 0)
        begun = [found.end() for found in self._secret.finditer(text) if found.start() < cut]
        cut = max(cut, *begun) if begun else cut
        self._held = text[cut:]
        self._keep(self._masked(text[:cut]))

    def close(self) -> None:
        """Write the end, with a line about the omitted bytes."""
        self._keep(self._masked(self._held))
        self._held = b""
        if self._left_out:
            self._file.write(f"\n[... {self._left_out} bytes of its output are omitted ...]\n".encode())
        self._file.write(self._tail)
        self._file.close()

    @property
    def last_line(self) -> str:
        """The last line that is not empty, prepared for a message; empty if there is none."""
        lines = [
            line.strip() for line in (self._recent + self._masked(self._held)).decode(errors="replace").splitlines()
        ]
        return shown(next((line for line in reversed(lines) if line), ""))

    def _masked(self, text: bytes) -> bytes:
        return self._secret.sub(MASK, text)

    def _keep(self, text: bytes) -> None:
        self._recent = (self._recent + text)[-RECENT:]
        head, rest = text[: self._room], text[self._room :]
        self._room -= len(head)
        self._file.write(head)
        self._file.flush()
        self._tail += rest
        surplus = len(self._tail) - TAIL
        if surplus > 0:
            del self._tail[:surplus]
            self._left_out += surplus
