"""Spaces of a search, and rows with other parameter values."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from reidbench.errors import ConfigError
from reidbench.matrix.benchmark import Choice, Recipe
from reidbench.matrix.search import Space, Values

from .checker import Checker, guess, kind_word
from .yamlfile import Path_, Tree

RANGES = ("log", "uniform", "int")
MOST_TRIALS = 1000  # of one search


class RowReader(Protocol):
    """Read rows, like the reader of a whole file."""

    check: Checker

    def recipe(self, name: str, value: Any, path: Path_, top: dict[str, Any], default: Choice | None) -> Recipe | None:
        """Return the row of these values; report errors and return None."""


class Misplaced(Exception):
    """Raised when a row has no place for a parameter; the message gives the reason."""


def read_space(check: Checker, value: Any, path: Path_) -> Space | None:
    """Return the space of a list of choices, or of a range."""
    if isinstance(value, list) and len(value) > MOST_TRIALS:
        check.wrong(path, f"must have at most {MOST_TRIALS} choices, not {len(value)}")
        return None
    if isinstance(value, list):
        repeated = any(_same(one, other) for at, one in enumerate(value) for other in value[:at])
        if len(value) < 2 or repeated:
            wrong = "has the same choice twice" if repeated else "needs two or more choices"
            check.wrong(path, f"{wrong}, as in [0.2, 0.3]")
            return None
        return Space("choices", tuple(value))
    kind = next(iter(value), "") if isinstance(value, dict) and len(value) == 1 else ""
    if kind not in RANGES:
        near = guess(kind, RANGES) if isinstance(kind, str) and kind else ""
        given = kind_word(value) if isinstance(value, dict | type(None)) else check.text(path, value)
        forms = " or ".join(f"{{{one}: [LOW, HIGH]}}" for one in RANGES)
        check.wrong(path, f"must be a list of choices or a range, {forms}, not {given}{near}")
        return None
    return _range(check, kind, value[kind], (*path, kind))


def _range(check: Checker, kind: Any, ends: Any, path: Path_) -> Space | None:
    """Return the space of a range, with the lower end first."""
    wrong = ""
    numbers = isinstance(ends, list) and len(ends) == 2 and all(_is_number(one, kind == "int") for one in ends)
    if not numbers:
        wrong = f"must be two {'whole ' * (kind == 'int')}numbers, [LOW, HIGH]"
    elif ends[0] >= ends[1]:
        wrong = "must be two different numbers, the lower one first"
    elif kind == "log" and ends[0] <= 0:
        wrong = "must be above 0 for a logarithmic range"
    elif math.isinf(float(ends[1]) - float(ends[0])):
        wrong = "must be numbers with a finite difference"
    if wrong:
        given = check.text(path, ends) if isinstance(ends, list) else kind_word(ends)
        check.wrong(path, f"{wrong}, not {given}")
        return None
    return Space(kind, tuple(ends))


def check_values(check: Checker, key: str, space: Space, path: Path_, rows: Rows, alone: bool) -> None:
    """Report each choice, or end or inner value of a range, that the component refuses in this row.

    If other parameters of the component are searched too, a value that fails next to their written values may be valid
    in a trial: only errors about the parameter itself are reported. `alone`: no other one is searched.
    """
    inside = path if space.kind == "choices" else (*path, space.kind)
    for at, value in enumerate(space.values):
        try:
            problems = rows.problems(key, value, (*inside, at))
        except Misplaced as error:
            check.wrong(path, str(error))
            return
        for problem, own in problems.items():
            if own or alone:
                check.problems[problem] = None
    if space.kind in ("uniform", "log") and all(isinstance(end, int) for end in space.values):
        low, high = space.values
        if _refuses(rows, key, (low + high) / 2 + 0.25) and not _refuses(rows, key, low):
            check.wrong(inside, f"{key} takes whole numbers: write {{int: [{low}, {high}]}}")


def _refuses(rows: Rows, key: str, value: Any) -> bool:
    """Return whether the component refuses a value of this parameter itself."""
    return any(rows.problems(key, value, ()).values())


@dataclass(frozen=True)
class Rows:
    """Read one row repeatedly, with other parameter values."""

    name: str
    row: Any
    path: Path_
    top: dict[str, Any]
    default: Choice | None
    tree: Tree
    fresh: Callable[[Tree], RowReader]

    def with_values(self, values: Values) -> Recipe:
        """Return the row with these values. Raises ConfigError if its components refuse them."""
        row = copy.deepcopy(self.row)
        try:
            for key, value in values.items():
                put(row, key, value, self.top)
        except Misplaced as error:
            raise ConfigError([str(error)]) from None
        found, problems = self._read(row, self.tree)
        if found is None or problems:
            raise ConfigError(problems)
        return found

    def problems(self, key: str, value: Any, place: Path_) -> dict[str, bool]:
        """Return the errors of the row with a value written at `place`; True for errors about that parameter itself.

        Raises Misplaced.
        """
        row, lines, typed = copy.deepcopy(self.row), dict(self.tree.lines), dict(self.tree.written)
        at = (*self.path, *put(row, key, value, self.top))
        lines[at] = self.tree.line(place)
        typed.pop(at, None)
        typed |= {at: self.tree.written[place]} if place in self.tree.written else {}
        tree = replace(self.tree, lines=lines, written=typed)
        own = tree.where(at)
        return {text: text.startswith((f"{own}: ", f"{own}.")) for text in self._read(row, tree)[1]}

    def _read(self, row: Any, tree: Tree) -> tuple[Recipe | None, list[str]]:
        reader = self.fresh(tree)
        found = reader.recipe(self.name, row, self.path, self.top, self.default)
        return found, list(reader.check.problems)


def put(row: dict[str, Any], key: str, value: Any, top: Mapping[str, Any]) -> Path_:
    """Set a value in a row at a dotted path and return the path. Raises Misplaced if the row has no such place."""
    at: Any = row
    path: Path_ = ()
    *around, last = key.split(".")
    for word in around:
        place = _place(at, word, path)
        there = isinstance(at, list) or place in at
        inner = at[place] if there else _unsaid(place, path, row, top)
        at[place] = {"use": inner} if isinstance(inner, str) else inner
        if not isinstance(at[place], dict | list):
            raise Misplaced(f"{'.'.join(map(str, (*path, place)))} is {kind_word(inner)} and has no parameters")
        at, path = at[place], (*path, place)
    place = _place(at, last, path)
    at[place] = value
    return (*path, place)


def _place(at: Any, word: str, path: Path_) -> Any:
    """Return the key, or the index in a list, for a word of a dotted path."""
    if not isinstance(at, list):
        return word
    if not (word.isascii() and word.isdigit() and int(word) < len(at)):
        name = ".".join(map(str, path))
        raise Misplaced(f"{name} is a list: select one of its {len(at)} items by index, as in {name}.0")
    return int(word)


def _unsaid(place: Any, path: Path_, row: Mapping[str, Any], top: Mapping[str, Any]) -> Any:
    """Return the value of a key that a row omits: the file's backbone, or an empty map in a step."""
    if path:
        return {}
    if place == "backbone" and "backbone" in top:
        return copy.deepcopy(top["backbone"])
    raise Misplaced(f"the row has no `{place}`{guess(str(place), list(row))} (it has {', '.join(row) or 'nothing'})")


def _is_number(value: Any, whole: bool) -> bool:
    return not isinstance(value, bool) and isinstance(value, int if whole else int | float)


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal in YAML, where 1 is not true."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
