"""Strict numbers from text. Python's own `int` and `float` also accept "1_23", "１２", " 12" and "nan"."""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")  # Python refuses to convert more than 4300 digits
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
HOW = "write it with the digits 0 to 9 only, like 12"


def whole_number(text: str) -> int | None:
    """Return the whole number in `text` (digits 0 to 9 with an optional sign), otherwise None."""
    return int(text) if _WHOLE.fullmatch(text) else None


def decimal_number(text: str) -> float | None:
    """Return the finite number in `text`, in plain decimal digits (`1`, `-0.5`, `2e-3`), otherwise None."""
    if _DECIMAL.fullmatch(text) is None:
        return None
    number = float(text)
    return number if math.isfinite(number) else None
