"""Images by the names in their paths, and numbers for such names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number

from .folders import LARGEST


@dataclass(frozen=True)
class Picture:
    """An image with the person and the camera in its path ("" if the path has none), and all fields."""

    path: str
    person: str
    camera: str
    fields: Mapping[str, str]


def numbered(what: str, names: Iterable[str], first: int) -> dict[str, int]:
    """Number each name: by its value if all are whole numbers from `first`, otherwise `first`, ... in sorted order.

    Raises DataError if two names are one number, or one text, in two spellings.
    """
    spelled: dict[int | str, str] = {}
    for name in sorted(names):
        own = whole_number(name)
        same = spelled.setdefault(unicodedata.normalize("NFC", name) if own is None else own, name)
        if same != name:
            raise DataError(f"{what} {shown(same)!r} and {shown(name)!r} are the same in two spellings: rename one")
    numbers = {name: own for own, name in spelled.items() if isinstance(own, int) and first <= own <= LARGEST}
    if len(numbers) == len(spelled):
        return numbers
    order = sorted(spelled, key=lambda key: (isinstance(key, str), key))
    return {spelled[key]: number for number, key in enumerate(order, start=first)}
