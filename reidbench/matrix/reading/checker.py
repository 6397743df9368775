"""Notes what is wrong with the values of a matrix file, each with file, line and cure; all at once, not the first."""

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

MOST_PROBLEMS = 100  # reported for one file; with more it is probably another file


class Checker:
    """Takes values of a tree if they are what they must be, and else notes a problem and gives a plain one."""

    def __init__(self, tree: Tree, must_exist: bool = True) -> None:
        self.tree = tree
        self.must_exist = must_exist
        self.problems: dict[str, None] = {}  # an ordered set
        self.unknown: dict[str, None] = {}  # components that no plugin offers, as "KIND NAME"

    def text(self, path: Path_, value: Any) -> str:
        """A value as the file says it."""
        return self.tree.text(path, value)

    def wrong(self, path: Path_, sentence: str) -> None:
        """A problem, told with its line. Raises ConfigError when there are too many to go on."""
        text = f"{self.tree.where(path)}: {sentence}"
        self.problems[printable(text if len(text) < 2000 else f"{text[:2000]}...")] = None
        if len(self.problems) >= MOST_PROBLEMS:
            more = f"{printable(self.tree.name)}: and more; these are the first"
            raise ConfigError([*self.problems, more], list(self.unknown))

    def stop_at_problems(self) -> None:
        """Raise ConfigError with all problems, if there are any."""
        if self.problems:
            raise ConfigError(list(self.problems), list(self.unknown))

    def map(self, value: Any, path: Path_, known: Sequence[str] = ()) -> dict[str, Any]:
        """`value` if it is a map of known keys, else {} and a problem."""
        if not isinstance(value, dict):
            self.wrong(path, f"must be a map (key: value), not {kind_word(value)}")
            return {}
        for key in value:
            if known and key not in known:
                self.wrong((*path, key), f"unknown key{guess(key, known)} (known: {', '.join(known)})")
        return value

    def named(self, value: Any, path: Path_, what: str, known: Sequence[str] = ()) -> dict[str, Any]:
        """`value` if it is a map, where a name may stand as well; else {} and a problem."""
        if isinstance(value, dict):
            return self.map(value, path, known)
        given = kind_word(value) if value is None or isinstance(value, list) else self.tree.text(path, value)
        quotes = self.quotes(value)
        self.wrong(path, f"must be the name of a {what}, or a map with `use: NAME`, not {given}{quotes}")
        return {}

    @staticmethod
    def quotes(value: Any) -> str:
        """The cure where text is meant and YAML reads something else."""
        return "; put it in quotes if it is text" if isinstance(value, bool | int | float) else ""

    def whole_number(self, value: Any, path: Path_, least: int, default: int) -> int:
        """`value` if it is one, else `default` and a problem."""
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong(path, f"must be a whole number from {least}, not {self.tree.text(path, value)}")
            return default
        return value

    def yes_or_no(self, value: Any, path: Path_) -> bool:
        """`value` if it is true or false, else false and a problem."""
        if not isinstance(value, bool):
            self.wrong(path, f"must be true or false, not {self.tree.text(path, value)}")
            return False
        return value

    def seeds(self, value: Any, path: Path_) -> tuple[int, ...]:
        """A list of different whole numbers."""
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
        """The settings of images among the values of a map; what is no such value is left out, and a problem."""
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
        """Where a path leads, seen from the file; None and a problem where it names a variable that is not set.

        One that can lead nowhere (a user that is not here, a loop of links) stays as it is. `what` to give as the
        variable's value, FILE or FOLDER, is for the cure. Where nothing must exist, a variable need not be set.
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
        """Where a path leads, for a sentence; with the text of the file where `~` or a variable stands in it."""
        replaced = isinstance(value, str) and (value.startswith("~") or "$" in value)
        return f"{shown(value)} leads to {shown(str(place))}" if replaced else shown(str(place))


def _or_set(path: Path_, what: str) -> str:
    """`, or give --set KEY=FILE` where a key is such that `--set` can name it: no list, no dot in a word."""
    words = [word for word in path if isinstance(word, str) and not set(".=") & set(word)]
    setting = shlex.quote(f"{'.'.join(words)}={what}")
    return f", or give --set {setting}" if len(words) == len(path) else ""


def entries(value: Any, path: Path_) -> list[tuple[Any, Path_]]:
    """The values of a list with their paths, or the one value that stands for a list."""
    if not isinstance(value, list):
        return [(value, path)]
    return [(entry, (*path, index)) for index, entry in enumerate(value)]


def guess(word: str, known: Sequence[str]) -> str:
    """`; did you mean ...?` where a known word is near, else nothing."""
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def there(place: Path, test: Callable[[Path], bool]) -> bool:
    """Whether it is there; a name that no file can have (too long, a null character) is not."""
    try:
        return test(place)
    except (OSError, ValueError):
        return False


def kind_word(value: Any) -> str:
    """What a YAML value is, in words."""
    if value is None:
        return "nothing"
    if value == []:
        return "an empty list"
    return {dict: "a map", list: "a list", str: "text", bool: "true or false"}.get(type(value), "a number")
