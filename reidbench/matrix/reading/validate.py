"""Read `validate:` of a file or task: the data that selects parameters and epochs in place of the test part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reidbench.matrix.benchmark import Validation
from reidbench.words import VALIDATION

from .checker import Checker, guess
from .yamlfile import Path_

WAYS = ("identities", "data", "queries")
EXAMPLE = "{identities: 0.2}, {data: NAME} or {queries: validation}"


def read_validation(check: Checker, value: Any, path: Path_, known: Sequence[str]) -> Validation | None:
    """Return the validation that a map describes; `known` are the data sets. Report errors and return None."""
    if not isinstance(value, dict):
        check.wrong(path, f"must be a map, {EXAMPLE}, not {check.text(path, value)}")
        return None
    given = check.map(value, path, (*WAYS, "seed"))
    ways = [way for way in WAYS if way in given]
    if len(ways) != 1:
        check.wrong(path, f"must have exactly one of {', '.join(WAYS)}, as in {EXAMPLE}")
        return None
    if "seed" in given and ways != ["identities"]:
        check.wrong((*path, "seed"), "draws held-out identities and applies to `identities` only")
        return None
    read = {"identities": _identities, "data": _data, "queries": _queries}[ways[0]]
    return read(check, given, path, known)


def _identities(check: Checker, given: dict[str, Any], path: Path_, known: Sequence[str]) -> Validation | None:
    value, place = given["identities"], (*path, "identities")
    if not ((type(value) is int and value >= 2) or (type(value) is float and 0 < value < 1)):
        check.wrong(place, f"must be a fraction below 1.0 or a whole number >= 2, not {check.text(place, value)}")
        return None
    seed = check.whole_number(given.get("seed", 0), (*path, "seed"), 0, 0)
    return Validation("identities", identities=value, seed=seed)


def _data(check: Checker, given: dict[str, Any], path: Path_, known: Sequence[str]) -> Validation | None:
    value, place = given["data"], (*path, "data")
    if not isinstance(value, str) or value not in known:
        near = guess(value, known) if isinstance(value, str) else ""
        text = check.text(place, value)
        check.wrong(place, f"must be the name of a data set under `data`, not {text}{near} (known: {', '.join(known)})")
        return None
    return Validation("data", data=value)


def _queries(check: Checker, given: dict[str, Any], path: Path_, known: Sequence[str]) -> Validation | None:
    value, place = given["queries"], (*path, "queries")
    if value != VALIDATION:
        check.wrong(place, f"must be {VALIDATION}, the data set's own validation part, not {check.text(place, value)}")
        return None
    return Validation("queries")
