"""A matrix as a mapping of a program, in place of a file: the same values, and the YAML that says them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import yaml

from reidbench.errors import ConfigError
from reidbench.matrix.reading.checker import MOST_PROBLEMS
from reidbench.matrix.reading.yamlfile import (
    DEEPEST,
    DOUBTFUL,
    LARGEST,
    LONGEST_KEY,
    MOST_BYTES,
    MOST_NODES,
    Path_,
    Tree,
    shown,
)
from reidbench.registry.plugins import printable

NAME = "matrix.yaml"  # what the file would be called
TOO_MUCH = f"the matrix: larger than {MOST_NODES} values and keys, or {MOST_BYTES >> 20} MiB, that a file may have"
PLAIN = "a map, a list, text, a number, true, false or nothing"


def mapping_tree(values: Mapping[str, Any], folder: Path) -> Tree:
    """The tree of a mapping, as `read_tree` gives that of a file in `folder`, where its relative paths begin.

    Tuples, ranges and numpy arrays are lists, numpy's numbers are numbers, and paths are text. Raises ConfigError, with
    the keys that lead to each value that YAML cannot say or a file may not have. Nothing is written.
    """
    plain = _Plain()
    value = plain.of(values, ())
    if plain.problems:
        raise ConfigError(plain.problems)
    source = as_yaml(value)
    if len(source.encode()) > MOST_BYTES:
        raise ConfigError([TOO_MUCH])
    return Tree(folder / NAME, value, {}, source=source, mapping=True)


def as_yaml(value: Any) -> str:
    """Plain values as YAML that `read_tree` reads back as the same."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return str(text)


class _Dumper(yaml.SafeDumper):
    """Quotes text that some reader of YAML takes for a number, or of which PyYAML would lose a line end."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if DOUBTFUL.fullmatch(text) else None if text.isprintable() else '"'  # which escapes odd line ends
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


class _Plain:
    """Makes plain values, none of them shared, and notes what cannot be one."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.open: set[int] = set()  # maps and lists being read: meeting one again means that it contains itself
        self.nodes = 0
        self.characters = 0

    def wrong(self, path: Path_, sentence: str) -> None:
        where = ".".join(map(str, path)) or "the matrix"
        self.problems.append(printable(f"{where}: {sentence}"[:2000]))
        if len(self.problems) >= MOST_PROBLEMS:
            raise ConfigError([*self.problems, "the matrix: and more; these are the first"])

    def of(self, value: Any, path: Path_) -> Any:
        """The plain value; None and a problem where there is none."""
        self.count(value)
        if isinstance(value, np.generic | np.ndarray):
            value = value.tolist()
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str | PurePath):
            return self.text(str(value), path)
        if isinstance(value, Real):
            return self.number(value, path)
        if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, bytes | bytearray)):
            return self.inside(value, path)
        self.wrong(path, f"must be {PLAIN}, not {type(value).__name__}")
        return None

    def count(self, value: Any) -> None:
        """One more value or key. Raises ConfigError for more than a file may have."""
        self.nodes += 1
        self.characters += len(value) if isinstance(value, str) else 0
        if self.nodes > MOST_NODES or self.characters > MOST_BYTES:
            raise ConfigError([TOO_MUCH])

    def text(self, value: str, path: Path_) -> str:
        if any("\ud800" <= character <= "\udfff" for character in value):
            self.wrong(path, f"{shown(value)} holds half a character")
        return value

    def number(self, value: Real, path: Path_) -> int | float:
        found = int(value) if isinstance(value, Integral) else float(value)
        if isinstance(found, int) and abs(found) >= LARGEST:
            self.wrong(path, f"{shown(found)} is beyond the whole numbers of 64 bits")
        elif not math.isfinite(found):
            self.wrong(path, f"{found} is not a finite number")
        return found

    def inside(self, value: Mapping[Any, Any] | Sequence[Any], path: Path_) -> Any:
        """A map or a list, with all that it contains."""
        if id(value) in self.open or len(path) >= DEEPEST:
            self.wrong(path[:8], "contains itself" if id(value) in self.open else "nested too deeply for a matrix")
            return None
        self.open.add(id(value))
        try:
            if isinstance(value, Mapping):
                fitting = [(self.key(key, path, value), inner) for key, inner in value.items()]
                return {key: self.of(inner, (*path, key)) for key, inner in fitting if key is not None}
            return [self.of(inner, (*path, index)) for index, inner in enumerate(value)]
        finally:
            self.open.discard(id(value))

    def key(self, key: Any, path: Path_, beside: Mapping[Any, Any]) -> str | None:
        """The text of a key. As in a file, a whole number may be one further inside, such as a camera's."""
        self.count(key)
        if isinstance(key, Integral) and not isinstance(key, bool) and len(path) > 1:
            if str(int(key)) not in beside:
                return str(int(key))
            self.wrong(path, f"{str(int(key))!r} appears twice, as a number and as text")
        elif not isinstance(key, str):
            self.wrong(path, f"the key {shown(key)} must be text")
        elif not key.isprintable() or not key.strip() or len(key) > LONGEST_KEY:
            self.wrong(path, f"the key {shown(key)} must be up to {LONGEST_KEY} characters that can be printed")
        else:
            return str(key)
        return None
