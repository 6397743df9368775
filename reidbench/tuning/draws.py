"""The values of trials that are known at once: a whole grid, or random draws by the search's seed."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

from reidbench.matrix.benchmark import canonical
from reidbench.matrix.search import Search, Space, Values

DRAWS = 20  # for each combination there is: more than it takes to meet them all, as good as always
LEAST = 1e-16  # that a ratio is above 1, as far as decimal numbers tell
MANY = 1e9  # combinations, of which trials are never more than a few
DIGITS = 4  # significant ones of a drawn number: of its distance to the end of a range, or of its ratio to it


def grid(search: Search) -> list[Values]:
    """All combinations of choices, the last parameter changing fastest."""
    names = list(search.spaces)
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(space.values for space in search.spaces.values()))
    ]


def random(search: Search) -> list[Values]:
    """As many different draws as the search has trials.

    The values of a trial stay the same when trials are added. What is drawn for one parameter depends on no other.
    """
    found: dict[str, Values] = {}
    enough = DRAWS * int(search.size) if search.size <= MANY else None
    for values in (_drawn(search, number) for number in itertools.islice(itertools.count(), enough)):
        found.setdefault(canonical(values), values)
        if len(found) == search.trials:
            return list(found.values())
    return _filled_up(search, found)


def _drawn(search: Search, number: int) -> Values:
    return {name: value_at(space, _share(search.seed, number, name)) for name, space in search.spaces.items()}


def _filled_up(search: Search, found: dict[str, Values]) -> list[Values]:
    """Draws of a space that has hardly more combinations than trials: those that never came are added in order."""
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
    """All values of a space with whole numbers or choices; both ends of any other."""
    return list(range(space.values[0], space.values[1] + 1)) if space.kind == "int" else list(space.values)


def _share(seed: int, number: int, name: str) -> float:
    """A number from 0 to below 1, by SHA-256: the same on every machine and with every version of numpy."""
    digest = hashlib.sha256(canonical(["search", seed, number, name]).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def value_at(space: Space, share: float) -> Any:
    """The value of a space at a share of it, from 0 to below 1; decimal numbers are rounded to a few digits."""
    if space.kind == "choices":
        return space.values[int(share * len(space.values))]
    low, high = space.values
    if space.kind == "int":
        return low + int(share * (high - low + 1))
    if space.kind == "uniform":
        return rounded(space, low + share * (high - low))
    return rounded(space, math.exp(math.log(low) + share * (math.log(high) - math.log(low))))


def rounded(space: Space, value: float) -> float:
    """A decimal number with so many digits as tell values of its range apart, and never outside of it.

    What is left is the same on machines whose logarithms differ in their last digit.
    """
    low, high = space.values
    if space.kind == "log":
        narrow = max(0, -math.floor(math.log10(min(max(high / low - 1, LEAST), 1))))
        found = float(f"{value:.{DIGITS + narrow}g}")
    else:
        found = round(value, DIGITS - 1 - math.floor(math.log10(high - low)))
    return float(min(max(found, low), high))
