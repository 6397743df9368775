"""Numbers on the command line: as strict as those of a matrix file. For `typer.Option(parser=...)`."""

from __future__ import annotations

import math
from collections.abc import Callable

import typer

from .yamlfile import DECIMAL, LARGEST, LONGEST_NUMBER, WHOLE, shown


def whole(least: int = 0) -> Callable[[str | int], int]:
    """Reads a whole number from `least`, in plain digits: neither 1_000 nor digits of other scripts."""

    def integer(given: str | int) -> int:
        text = str(given)
        if len(text) > LONGEST_NUMBER or not WHOLE.fullmatch(text) or not least <= int(text) < LARGEST:
            raise typer.BadParameter(f"must be a whole number from {least} in plain digits, not {shown(text)}")
        return int(text)

    return integer


def decimal(given: str | float) -> float:
    """Reads a finite number in plain digits: neither 1_000 nor nan."""
    text = str(given)
    if len(text) > LONGEST_NUMBER or not DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        raise typer.BadParameter(f"must be a number like 12, 0.5 or 1e3, not {shown(text)}")
    return float(text)


def positive(given: str | float) -> float:
    """Reads a number above 0."""
    if decimal(given) <= 0:
        raise typer.BadParameter(f"must be above 0, not {shown(str(given))}")
    return decimal(given)
