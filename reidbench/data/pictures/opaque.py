"""Copies of images for external programs, whose names, times and order reveal nothing about the labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

TIME = 946684800  # of each copy: 2000-01-01, in seconds since 1970
LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")  # names contain no digits, so no pids either
# Magic bytes of the supported formats, and the extension of a copy: the file's own extension could be a label.
ENDINGS = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"GIF8": ".gif", b"II": ".tif", b"MM": ".tif",
           b"RIFF": ".webp"}  # fmt: skip


class Stored(Protocol):
    """Anything with a length and access to the bytes of its images: labelled and hidden splits."""

    def __len__(self) -> int: ...
    def _encoded(self, index: int) -> tuple[str, bytes]: ...


def opaque_names(images: Stored, seed: int) -> list[str]:
    """Name each image [N] from its own bytes and the seed only, so that the name reveals nothing else.

    The second and later of identical images end in -b, -c, ... Raises DataError if an image cannot be read.
    """
    seen: dict[str, int] = {}
    names = []
    for index in range(len(images)):
        data = images._encoded(index)[1]
        stem = hashlib.sha256(b"%d/" % seed + data).hexdigest()[:16].translate(LETTERS)
        number = seen[stem] = seen.get(stem, -1) + 1
        names.append(f"{stem}{f'-{_letters(number)}' if number else ''}{_ending(data)}")
    return names


def copy_pictures(images: Stored, names: Sequence[str], folder: Path) -> None:
    """Write each image, byte for byte, under its name into a new folder, in the order of the names."""
    folder.mkdir(parents=True)
    for index in sorted(range(len(names)), key=names.__getitem__):
        file = folder / names[index]
        file.write_bytes(images._encoded(index)[1])
        file.chmod(0o644)
        os.utime(file, (TIME, TIME))
    os.utime(folder, (TIME, TIME))


def _ending(data: bytes) -> str:
    return next((ending for start, ending in ENDINGS.items() if data.startswith(start)), ".img")


def _letters(number: int) -> str:
    """Write a number in base 26: 1 as b, 25 as z, 26 as ba."""
    return (_letters(number // 26) if number >= 26 else "") + chr(ord("a") + number % 26)
