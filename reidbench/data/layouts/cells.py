"""Parse the cells of a manifest's line; each wrong cell adds one sentence to `wrong`."""

from __future__ import annotations

import re

from reidbench.data.morelabels import UNKNOWN
from reidbench.files.names import shown
from reidbench.files.numbers import HOW, decimal_number, whole_number

from .folders import LARGEST

_WORD = re.compile(r"[a-z][a-z0-9-]*")
ATTRIBUTES_FORM = "write name=value;name=value, such as bag=yes;hair=long"


def read_seconds(text: str | None, wrong: list[str]) -> float | None:
    """Time in seconds; None if the cell is empty or wrong."""
    number = decimal_number(text) if text else None
    if text and number is None:
        wrong.append(f"time {shown(text)!r} is not a decimal number of seconds: write it like 12.5")
    return number


def read_number(column: str, text: str, wrong: list[str]) -> int:
    """Whole number of a cell; 0 if it is wrong."""
    number = whole_number(text)
    if number is None:
        wrong.append(f"{column} {shown(text)!r} is not a whole number: {HOW}")
    elif number > LARGEST:
        wrong.append(f"{column} {shown(text)} is larger than 2^53")
    return number or 0


def read_label(column: str, text: str | None, wrong: list[str]) -> int:
    """Number of an outfit or tracklet; -1 if the cell is empty."""
    if not text:
        return UNKNOWN
    number = read_number(column, text, wrong)
    if number < UNKNOWN:
        wrong.append(f"{column} {number} is negative: write -1 or leave the cell empty if it is unknown")
    return number


def read_modality(text: str | None, wrong: list[str]) -> str:
    """Word of a modality; empty if the cell is empty."""
    if text and not _WORD.fullmatch(text):
        wrong.append(f"modality {shown(text)!r} is not a lower-case word: write visible, infrared or thermal")
    return text or ""


def read_attributes(text: str | None, wrong: list[str]) -> dict[str, str] | None:
    """Values by name of a cell `name=value;name=value`; None if it is empty or wrong."""
    found: dict[str, str] = {}
    for piece in text.split(";") if text else ():
        name, _, value = piece.partition("=")
        if not _is_plain(name) or not _is_plain(value):
            wrong.append(f"attributes: {shown(piece)!r} is not a name and a value: {ATTRIBUTES_FORM}")
        elif name in found:
            wrong.append(f"attributes: {shown(name)!r} occurs twice: give each attribute one value")
        found[name] = value
    return found or None


def _is_plain(text: str) -> bool:
    return bool(text) and "=" not in text and text == text.strip()
