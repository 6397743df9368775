"""Whole numbers in text: one rule for labels wherever they are written as text."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)


def whole_number(text: str) -> int | None:
    """The number that a text writes in ASCII digits with an optional sign, or None: "1_23", " 12" and "1e3" are not."""
    # int() refuses more than some thousand digits, and no label has so many.
    return int(text) if len(text) <= 100 and _WHOLE.fullmatch(text) else None
