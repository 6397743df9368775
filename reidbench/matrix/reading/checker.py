"""Collect the errors of a matrix file with file, line and fix, to report all of them at once."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reidbench.components import STEP_SETTINGS
from reidbench.data.pictures.size import setting_fault
from reidbench.errors import ConfigError
from reidbench.files.variables import UnsetVariable, expanded
from reidbench.registry.plugins import printable

from .yamlfile import Path_, Tree, shown

MOST_PROBLEMS = 100  # reported for one file; a file with more is probably not a matrix file


class Checker:
    """Return values of a tree that are valid; otherwise record an error and return a default."""

    def __init__(self, tree: Tree, must_exist: bool = True) -> None:
        self.tree = tree
        self.must_exist = must_exist
        self.problems: dict[str, None] = {}  # an ordered set
        self.unknown: dict[str, None] = {}  # components that no plugin offers, as "KIND NAME"

    def text(self, path: Path_, value: Any) -> str:
        """Return a value as typed in the file."""
        return self.tree.text(path, value)

    def wrong(self, path: Path_, sentence: str) -> None:
        """Record an error with its line. Raises ConfigError when there are too many."""
        text = f"{self.tree.where(path)}: {sentence}"
        self.problems[printable(text if len(text) < 2000 else f"{text[:2000]}...")] = None
        if len(self.problems) >= MOST_PROBLEMS:
            more = f"{printable(self.tree.name)}: has more problems; these are the first"
            raise ConfigError([*self.problems, more], list(self.unknown))

    def stop_at_problems(self) -> None:
        """Raise ConfigError with all errors, if there are any."""
        if self.problems:
            raise ConfigError(list(self.problems), list(self.unknown))

    def map(self, value: Any, path: Path_, known: Sequence[str] = ()) -> dict[str, Any]:
        """Return `value` if it is a map of known keys, otherwise {} and an error."""
        if not isinstance(value, dict):
            self.wrong(path, f"must be a map (key: value), not {kind_word(value)}")
            return {}
        for key in value:
            if known and key not in known:
                self.wrong((*path, key), f"unknown key{guess(key, known)} (known: {', '.join(known)})")
        return value

    def named(self, value: Any, path: Path_, what: str, known: Sequence[str] = ()) -> dict[str, Any]:
        """Return `value` if it is a map in a place that also takes a name, otherwise {} and an error."""
        if isinstance(value, dict):
            return self.map(value, path, known)
        given = kind_word(value) if value is None or isinstance(value, list) else self.tree.text(path, value)
        quotes = self.quotes(value)
        self.wrong(path, f"must be the name of a {what}, or a map with `use: NAME`, not {given}{quotes}")
        return {}

    @staticmethod
    def quotes(value: Any) -> str:
        """Return the hint to quote text that YAML reads as another type."""
        return "; put it in quotes if it is text" if isinstance(value, bool | int | float) else ""

    def whole_number(self, value: Any, path: Path_, least: int, default: int) -> int:
        """Return `value` if it is a whole number of at least `least`, otherwise `default` and an error."""
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong(path, f"must be a whole number >= {least}, not {self.tree.text(path, value)}")
            return default
        return value

    def yes_or_no(self, value: Any, path: Path_) -> bool:
        """Return `value` if it is true or false, otherwise False and an error."""
        if not isinstance(value, bool):
            self.wrong(path, f"must be true or false, not {self.tree.text(path, value)}")
            return False
        return value

    def seeds(self, value: Any, path: Path_) -> tuple[int, ...]:
        """Return a list of different whole numbers."""
        if not isinstance(value, list) or not value:
            given = "an empty list" if value == [] else kind_word(value)
            self.wrong(path, f"must be a list of whole numbers, like [0, 1, 2], not {given}")
            return (0,)
        before = len(self.problems)
        seeds = tuple(self.whole_number(seed, (*path, index), 0, 0) for index, seed in enumerate(value))
        if len(set(seeds)) < len(seeds) and len(self.problems) == before:
            self.wrong(path, f"a seed appears twice in {shown(list(seeds))}")
        return seeds

    def settings(self, given: Mapping[str, Any], path: Path_) -> dict[str, Any]:
        """Return the image settings in a map, without invalid ones, which are errors."""
        found = {}
        for name in STEP_SETTINGS:
            if name not in given:
                continue
            if fault := setting_fault(name, given[name]):
                self.wrong((*path, name), f"{fault}, not {self.text((*path, name), given[name])}")
            else:
                found[name] = given[name]
        return found

    def place(self, value: str, path: Path_, what: str) -> Path | None:
        """Resolve a path relative to the file; None and an error if it has an unset variable.

        A path that cannot be resolved (unknown user, loop of links) is returned as it is. `what`, FILE or FOLDER, names
        the variable's value in the suggested fix. Without `must_exist`, variables need not be set.
        """
        try:
            text = expanded(value)
        except UnsetVariable as error:
            if not self.must_exist:
                return Path(value)
            self.wrong(path, f"{error}; export {error.name}={what}{_or_set(path, what)}")
            return None
        try:
            return (Path(self.tree.file).parent / Path(text).expanduser()).resolve()
        except (OSError, ValueError, RuntimeError):
            return Path(text)

    @staticmethod
    def leads(value: object, place: Path) -> str:
        """Return the resolved path for an error message, with the original text if `~` or a variable was replaced."""
        replaced = isinstance(value, str) and (value.startswith("~") or "$" in value)
        return f"{shown(value)} leads to {shown(str(place))}" if replaced else shown(str(place))


def _or_set(path: Path_, what: str) -> str:
    """Return `, or give --set KEY=FILE` if `--set` can express the key: no list index, no dot in a word."""
    words = [word for word in path if isinstance(word, str) and not set(".=") & set(word)]
    setting = shlex.quote(f"{'.'.join(words)}={what}")
    return f", or give --set {setting}" if len(words) == len(path) else ""


def entries(value: Any, path: Path_) -> list[tuple[Any, Path_]]:
    """Return the values of a list with their paths, or the one value that replaces a list."""
    if not isinstance(value, list):
        return [(value, path)]
    return [(entry, (*path, index)) for index, entry in enumerate(value)]


def guess(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean ...?` if a known word is close, otherwise ""."""
    same = [one for one in known if one.casefold() == word.casefold()]
    near = same or difflib.get_close_matches(word[:100], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def there(place: Path, test: Callable[[Path], bool]) -> bool:
    """Return whether the path exists; False for names that no file can have (too long, null character)."""
    try:
        return test(place)
    except (OSError, ValueError):
        return False


def kind_word(value: Any) -> str:
    """Return the kind of a YAML value in words."""
    if value is None:
        return "nothing"
    if value == []:
        return "an empty list"
    return {dict: "a map", list: "a list", str: "text", bool: "true or false"}.get(type(value), "a number")
