"""Values of trials that do not depend on earlier trials: a full grid, or random draws by the search's seed."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import canonical
from reidbench.matrix.search import Search, Space, Values

DRAWS = 20  # draws per combination, enough to draw every combination almost surely
LEAST = 1e-16  # smallest excess of a ratio over 1 in floating point
MANY = 1e9  # number of combinations beyond which draws practically never repeat
DIGITS = 4  # significant digits of a drawn value relative to its range


def grid(search: Search) -> list[Values]:
    """Return all combinations of choices; the last parameter changes fastest."""
    names = list(search.spaces)
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(space.values for space in search.spaces.values()))
    ]


def random(search: Search) -> list[Values]:
    """Return distinct random draws, one for each trial of the search.

    Adding trials does not change the values of earlier ones. Parameters are drawn independently. Raises ReidbenchError
    if a range is so narrow that rounding leaves fewer values than trials.
    """
    found: dict[str, Values] = {}
    finite = search.size <= MANY
    enough = DRAWS * (int(search.size) if finite else search.trials)
    for values in (_drawn(search, number) for number in range(enough)):
        found.setdefault(canonical(values), values)
        if len(found) == search.trials:
            return list(found.values())
    if finite:
        return _filled_up(search, found)
    raise ReidbenchError(
        f"random: {enough} draws give {len(found)} different values for {search.trials} trials; widen the ranges, or "
        "lower `trials:`"
    )


def _drawn(search: Search, number: int) -> Values:
    return {name: value_at(space, _share(search.seed, number, name)) for name, space in search.spaces.items()}


def untried(search: Search, tried: Iterable[Values]) -> Values | None:
    """Return the first combination of a finite search that was not tried; None if there is none, or too many."""
    known = {canonical(values) for values in tried}
    every = _combinations(search) if search.size <= MANY else ()
    return next((values for values in every if canonical(values) not in known), None)


def _filled_up(search: Search, found: dict[str, Values]) -> list[Values]:
    """Add combinations that were not drawn, in order, until every trial has values."""
    for values in _combinations(search):
        found.setdefault(canonical(values), values)
        if len(found) == search.trials:
            break
    return list(found.values())


def _combinations(search: Search) -> Iterator[Values]:
    names = list(search.spaces)
    lists = [_all(space) for space in search.spaces.values()]
    return (dict(zip(names, values, strict=True)) for values in itertools.product(*lists))


def _all(space: Space) -> list[Any]:
    """Return all values of a space of whole numbers or choices; both ends of any other space."""
    return list(range(space.values[0], space.values[1] + 1)) if space.kind == "int" else list(space.values)


def _share(seed: int, number: int, name: str) -> float:
    """Return a pseudorandom number in [0, 1) by SHA-256, the same on every machine and with every version of numpy."""
    digest = hashlib.sha256(canonical(["search", seed, number, name]).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def value_at(space: Space, share: float) -> Any:
    """Return the value of a space at a share in [0, 1); decimal numbers are rounded to a few digits."""
    if space.kind == "choices":
        return space.values[int(share * len(space.values))]
    low, high = space.values
    if space.kind == "int":
        return low + int(share * (high - low + 1))
    if space.kind == "uniform":
        return rounded(space, low + share * (high - low))
    return rounded(space, math.exp(math.log(low) + share * (math.log(high) - math.log(low))))


def rounded(space: Space, value: float) -> float:
    """Round a decimal number to the digits that matter in its range, and clip it to the range.

    Rounding makes the value the same on machines whose logarithms differ in the last digit.
    """
    low, high = space.values
    if space.kind == "log":
        narrow = max(0, -math.floor(math.log10(min(max(high / low - 1, LEAST), 1))))
        found = float(f"{value:.{DIGITS + narrow}g}")
    else:
        found = round(value, DIGITS - 1 - math.floor(math.log10(high - low)))
    return float(min(max(found, low), high))
