"""A matrix given as a Python mapping instead of a file: its plain values and their YAML."""

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

NAME = "matrix.yaml"  # file name used in messages
TOO_MUCH = f"the matrix: exceeds the limit of {MOST_NODES} values and keys, or of {MOST_BYTES >> 20} MiB"
PLAIN = "a map, a list, text, a number, true, false or None"


def mapping_tree(values: Mapping[str, Any], folder: Path) -> Tree:
    """Return the tree of a mapping, like `read_tree` for a file in `folder`; relative paths start there.

    Tuples, ranges and numpy arrays become lists, numpy scalars numbers, and paths text. Raises ConfigError, with the
    keys that lead to each value that YAML cannot represent or a file may not contain. Writes nothing.
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
    """Return plain values as YAML that `read_tree` reads back unchanged."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return str(text)


class _Dumper(yaml.SafeDumper):
    """Quotes text that some YAML parser reads as a number, or in which PyYAML would lose a line end."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if DOUBTFUL.fullmatch(text) else None if text.isprintable() else '"'  # escapes unusual line ends
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


class _Plain:
    """Converts to plain values, without shared objects, and collects problems."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.open: set[int] = set()  # maps and lists being read, to detect one that contains itself
        self.nodes = 0
        self.characters = 0

    def wrong(self, path: Path_, sentence: str) -> None:
        where = ".".join(map(str, path)) or "the matrix"
        self.problems.append(printable(f"{where}: {sentence}"[:2000]))
        if len(self.problems) >= MOST_PROBLEMS:
            raise ConfigError([*self.problems, "the matrix: has more problems; these are the first"])

    def of(self, value: Any, path: Path_) -> Any:
        """Return the plain value, or None after recording a problem."""
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
        """Count a value or key. Raises ConfigError beyond the limits of a file."""
        self.nodes += 1
        self.characters += len(value) if isinstance(value, str) else 0
        if self.nodes > MOST_NODES or self.characters > MOST_BYTES:
            raise ConfigError([TOO_MUCH])

    def text(self, value: str, path: Path_) -> str:
        if any("\ud800" <= character <= "\udfff" for character in value):
            self.wrong(path, f"{shown(value)} contains an unpaired surrogate")
        return value

    def number(self, value: Real, path: Path_) -> int | float:
        found = int(value) if isinstance(value, Integral) else float(value)
        if isinstance(found, int) and abs(found) >= LARGEST:
            self.wrong(path, f"{shown(found)} exceeds the range of 64-bit integers")
        elif not math.isfinite(found):
            self.wrong(path, f"{found} is not a finite number")
        return found

    def inside(self, value: Mapping[Any, Any] | Sequence[Any], path: Path_) -> Any:
        """Return a map or a list with its contents."""
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
        """Return a key as text. As in a file, keys of nested maps may be whole numbers, such as camera numbers."""
        self.count(key)
        if isinstance(key, Integral) and not isinstance(key, bool) and len(path) > 1:
            if str(int(key)) not in beside:
                return str(int(key))
            self.wrong(path, f"{str(int(key))!r} appears twice, as a number and as text")
        elif not isinstance(key, str):
            on = ", such as 'on', which PyYAML reads as True" if key is True else ""
            self.wrong(path, f"the key {shown(key)} must be text{on}")
        elif not key.isprintable() or not key.strip() or len(key) > LONGEST_KEY:
            self.wrong(path, f"the key {shown(key)} must be up to {LONGEST_KEY} printable characters")
        else:
            return str(key)
        return None
