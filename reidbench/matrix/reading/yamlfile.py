"""Strict YAML reader that records line numbers: plain values, no duplicate keys, bounded size, depth and aliases."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from reidbench.errors import ConfigError
from reidbench.registry.plugins import printable

Path_ = tuple[str | int, ...]
# Aliases can expand a small file to billions of values; a real matrix file has a few thousand values, a few kB, ten
# levels.
MOST_VALUES = 200_000
MOST_CHARACTERS = 8 << 20  # of all values together, each alias counted
MOST_BYTES = 1 << 20  # of the file; PyYAML scans this much in about a second
MOST_NODES = 50_000  # written in the file; PyYAML composes this many in about a second
DEEPEST = 50
LONGEST_KEY = 500
LONGEST_NUMBER = 100  # characters
LARGEST = 2**63  # larger whole numbers are neither seeds nor sizes
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}
TEXT = "tag:yaml.org,2002:str"
MERGE = "tag:yaml.org,2002:merge"
ON = "on"  # a key of claims: PyYAML reads it as true, YAML 1.2 parsers as text
# Numbers that every YAML parser reads in the same way. PyYAML accepts more (010 is 8, 1:30 is 90, 0x10 is 16, 1_000 is
# 1000) and reads 1e3 as text, which YAML 1.2 parsers read as a number.
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
POWER = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
DECIMAL = re.compile(rf"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|{POWER.pattern}|{WHOLE.pattern}")
# Numbers for some YAML parsers and text for others: 08, 0o17, 1_0e3.
DOUBTFUL = re.compile(r"[-+]?(0[0-9_]+|0o[0-7_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?)", re.ASCII)

VARIABLE = re.compile(r"\$\w+|\$\{\w+\}", re.ASCII)  # a value that consists of one variable
BLANK = "<secret>"  # replaces a secret
LEAST_SECRET = 8  # characters


@dataclass
class Tree:
    """Values of a file, with the line of each by its path of keys and indices.

    A `mapping` passed by a program has no lines; `file` then only locates it, and relative paths start there.
    """

    file: Path
    value: Any
    lines: dict[Path_, int]
    written: dict[Path_, str] = field(default_factory=dict)  # numbers, true and false, as typed
    changed: dict[Path_, str] = field(default_factory=dict)  # the `--set` override, by the path that it changed
    source: str = ""  # the text of the file
    mapping: bool = False

    def give(self, path: Path_, written: dict[Path_, str], override: str) -> None:
        """Record that `--set` replaced the value at `path`, and the text typed for it."""
        for known in [known for known in (*self.written, *self.changed) if known[: len(path)] == path]:
            self.written.pop(known, None)
            self.changed.pop(known, None)
        self.written |= {(*path, *inside): text for inside, text in written.items()}
        self.changed[path] = override

    def place(self, path: Path_) -> str:
        """Return the origin of the value at `path`: `file:line` or its `--set`; empty for a mapping."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.changed:
                return f"--set {shown(self.changed[path[:length]])}"
        return "" if self.mapping else f"{self.file}:{self.line(path)}"

    def where(self, path: Path_) -> str:
        """Return the prefix of an error about the value at `path`: `file:line: key.key`; for a mapping, the keys."""
        return ": ".join(filter(None, (self.place(path), ".".join(map(str, path))))) or self.name

    @property
    def name(self) -> str:
        """Name for error messages: the file, or "the matrix" for a mapping."""
        return "the matrix" if self.mapping else str(self.file)

    def text(self, path: Path_, value: Any) -> str:
        """Return the value at `path` for an error message, as typed: `yes (which YAML reads as true)`."""
        typed = self.written.get(path)
        if value is None:
            return "nothing"
        if isinstance(value, bool):
            meaning = str(value).lower()
            return meaning if typed in (None, meaning) else f"{typed} (which YAML reads as {meaning})"
        if isinstance(value, list) and 0 < len(value) <= 6 and not any(isinstance(item, list | dict) for item in value):
            return f"[{', '.join(self.text((*path, index), item) for index, item in enumerate(value))}]"
        return shown(value) if typed is None else printable(typed[:100])

    def line(self, path: Path_) -> int:
        """Return the line of the value at `path`, or of the nearest value around it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_tree(file: Path, needs: str = "a matrix needs data, tasks, backbone and methods") -> Tree:
    """Read a YAML file; `needs` completes the error about an empty file. Raises ConfigError as `file:line: message`."""

    def at(line: int) -> str:
        return printable(f"{file}:{line}")

    text = _text(file, at)
    node = _compose(text, at)
    if node is None:
        raise ConfigError([f"{at(1)}: the file is empty; {needs}"])
    builder = _Builder(at)
    return Tree(file, builder.build(node, ()), builder.lines, builder.written, source=text)


def _text(file: Path, at: Callable[[int], str]) -> str:
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ConfigError([f"{at(1)}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    if len(content) > MOST_BYTES:
        raise ConfigError([f"{at(1)}: larger than {MOST_BYTES >> 20} MiB; a matrix file has a few kB"])
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        raise ConfigError([f"{at(line)}: not a text file (byte {byte:#04x} is not UTF-8)"]) from None


def read_value(text: str, where: str) -> Any:
    """Parse one value written as YAML, by the rules of a file; empty text is None. Raises ConfigError."""
    return read_values(text, where)[0]


def read_values(text: str, where: str) -> tuple[Any, dict[Path_, str]]:
    """Parse like `read_value`; also return the text typed for numbers, true and false, by path."""
    place = printable(where)
    node = _compose(text, lambda line: place)
    builder = _Builder(lambda line: place)
    return None if node is None else builder.build(node, ()), builder.written


def without_secrets(text: str, fields: Collection[str], values: Collection[str]) -> str:
    """Replace secrets in YAML text by BLANK: everything in maps named in `fields`, and each of `values`.

    References to environment variables stay, since they contain no secret. Values shorter than LEAST_SECRET are
    replaced only inside such maps: elsewhere they may be any word. Raises ConfigError for invalid YAML.
    """
    root = _compose(text, str) if fields else None
    spans: set[tuple[int, int]] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)] if root else []
    seen: set[tuple[int, bool]] = set()
    while waiting:
        node, inside = waiting.pop()
        if (id(node), inside) in seen:
            continue
        seen.add((id(node), inside))
        if isinstance(node, yaml.MappingNode):
            waiting += [(value, inside or key.value in fields) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(child, inside) for child in node.value]
        elif inside and not VARIABLE.fullmatch(node.value):
            spans.add((node.start_mark.index, node.end_mark.index))
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + f"'{BLANK}'" + ("\n" if text[start:end].endswith("\n") else "") + text[end:]
    for value in sorted((value for value in values if len(value) >= LEAST_SECRET), key=len, reverse=True):
        text = text.replace(value, BLANK)
    return text


def _shortest(digits: str) -> str:
    """Return a decimal number without leading zeros."""
    value = float(digits)
    return str(int(value)) if value.is_integer() and digits.strip("-").isdigit() else repr(value)


def is_number(text: str) -> bool:
    """Return whether the text would be a number without its quotes."""
    return len(text) <= LONGEST_NUMBER and DECIMAL.fullmatch(text) is not None


def shown(value: Any) -> str:
    """Return the beginning of a value for an error message; the whole value may have millions of items."""
    return printable(_short.repr(value))


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 100


class _Loader(yaml.SafeLoader):
    """Loader that limits nodes and depth while composing: the scanner slows down with every open level."""

    nodes = 0
    level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.nodes += 1
        self.level += 1
        if self.nodes > MOST_NODES or self.level > DEEPEST:
            what = "nested too deeply for a matrix file" if self.level > DEEPEST else f"more than {MOST_NODES} values"
            raise yaml.composer.ComposerError(None, None, what, self.get_mark())
        node = super().compose_node(parent, index)
        self.level -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        tagged = self.peek_event().tag is not None  # type: ignore[no-untyped-call]
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if tagged and node.tag == TEXT:
            node.style = "'"  # the tag `!!str` has the same effect as quotes
        return node


def _compose(text: str, at: Callable[[int], str]) -> yaml.Node | None:
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError([f"{at(line)}: not a text file (control character {error.character:#04x})"]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([f"{at(_line(error))}: {_sentence(error)}"]) from None
    except (ValueError, ArithmeticError, LookupError, AttributeError, AssertionError) as error:
        # A character beyond Unicode, a version number of 5,000 digits: PyYAML itself does not catch these.
        line = loader.line + 1 if loader is not None else 1
        raise ConfigError([f"{at(line)}: not YAML: {printable(str(error))[:200]}"]) from None


def _line(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _sentence(error: yaml.MarkedYAMLError) -> str:
    text = ", ".join(part for part in (error.context, error.problem) if part)
    if isinstance(error, yaml.composer.ComposerError) and text.startswith(("nested too", "more than")):
        return text
    if _is_variable(error.problem_mark):
        return "not YAML: a variable in a map in braces or a list in brackets needs quotes: '${NAME}', or write $NAME"
    return printable(f"{text}; indent with spaces, not tabs" if "'\\t'" in text else f"not YAML: {text}")[:300]


def _is_variable(mark: yaml.Mark | None) -> bool:
    """Return whether the misplaced brace belongs to `${NAME}`."""
    return mark is not None and mark.buffer is not None and mark.buffer[: mark.pointer + 1].endswith("${")


class _Builder:
    """Convert composed nodes to plain values and record their lines."""

    def __init__(self, at: Callable[[int], str]) -> None:
        self.at = at
        self.characters = 0
        self.lines: dict[Path_, int] = {}
        self.written: dict[Path_, str] = {}
        self.open: set[int] = set()  # nodes being built; an alias to one of them contains itself
        self.scalars = yaml.constructor.SafeConstructor()

    def fail(self, node: yaml.Node, sentence: str) -> ConfigError:
        return ConfigError([f"{self.at(node.start_mark.line + 1)}: {printable(sentence)}"])

    def build(self, node: yaml.Node, path: Path_) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(self.lines) > MOST_VALUES or self.characters > MOST_CHARACTERS:
            raise self.fail(node, f"aliases expand to more than {MOST_VALUES} values or {MOST_CHARACTERS} characters")
        if len(path) > DEEPEST:
            raise self.fail(node, "nested too deeply for a matrix file")
        if id(node) in self.open:
            raise self.fail(node, "an alias contains itself")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.ScalarNode):
                value = self.scalar(node)
                if isinstance(value, bool | int | float):
                    self.written[path] = node.value
                return value
            if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
                return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
                return self.mapping(node, path)
            raise self.fail(node, f"the tag {shown(node.tag)} is not allowed; write plain values")
        finally:
            self.open.discard(id(node))

    def scalar(self, node: yaml.ScalarNode) -> Any:
        self.characters += len(node.value)
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        if node.tag not in PLAIN:
            raise self.fail(node, f"the tag {shown(node.tag)} is not allowed; write plain values")
        if node.tag in NUMBERS or (node.tag == TEXT and node.style is None and self.may_be_number(node)):
            return self.number(node)
        try:
            value = self.scalars.construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):
            raise self.fail(node, f"{shown(node.value)} is not a valid {node.tag.rpartition(':')[2]}") from None
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise self.fail(node, f"{shown(node.value)} contains an unpaired surrogate")
        return value

    @staticmethod
    def may_be_number(node: yaml.ScalarNode) -> bool:
        """Return whether unquoted text is a number for other YAML parsers."""
        return len(node.value) <= LONGEST_NUMBER and DOUBTFUL.fullmatch(node.value) is not None

    def number(self, node: yaml.ScalarNode) -> int | float:
        """Return a number that every YAML parser reads in the same way. Raises ConfigError for any other."""
        text, whole = node.value, node.tag == NUMBERS[0]
        if len(text) > LONGEST_NUMBER:  # PyYAML takes minutes to read a number of a million parts
            raise self.fail(node, f"{shown(text)} is not a valid {node.tag.rpartition(':')[2]}")
        if not (WHOLE if whole else DECIMAL).fullmatch(text):
            raise self.fail(node, self.doubt(node))
        value = int(text) if whole else float(text)
        if isinstance(value, int) and abs(value) >= LARGEST:
            raise self.fail(node, f"{shown(text)} exceeds the range of 64-bit integers")
        if not math.isfinite(value):
            raise self.fail(node, f"{shown(text)} is not a finite number")
        return value

    def doubt(self, node: yaml.ScalarNode) -> str:
        """Return an error message for an ambiguous number: its possible meanings and how to write it."""
        text = node.value
        if node.tag not in NUMBERS:
            digits = text.replace("_", "").lower().removeprefix("+")
            meant = str(int(digits, 8)) if "0o" in digits else _shortest(digits)
            either = f"{text} is {meant} for some YAML parsers and text for others"
            return f"{either}; write {meant} (or '{text}' in quotes for text)"
        try:
            value = self.scalars.construct_object(node)
        except (ValueError, LookupError, ArithmeticError, yaml.YAMLError):
            return f"{shown(text)} is not a valid {node.tag.rpartition(':')[2]}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{shown(text)} is not a finite number"
        if abs(value) >= LARGEST:
            return f"{shown(text)} exceeds the range of 64-bit integers"
        plain = text.lstrip("+-0") if text.lstrip("+-").isdigit() else str(value)  # 010 looks like 10 but is 8
        looks = (
            ("-" if text.startswith("-") and plain else "") + (plain or "0") if text.lstrip("+-").isdigit() else plain
        )
        return f"{text} would be read as {value}; write {looks} (or '{text}' in quotes for text)"

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                merged = {**self.merge(value_node, path), **merged}
                continue
            key = self.key(key_node, path)
            if key in built:
                raise self.fail(key_node, f"{shown(key)} appears twice (first on line {self.lines[(*path, key)]})")
            # The line of the key, not of the value: readers look for the key.
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, (*path, key))
        return {**merged, **built}

    def merge(self, node: yaml.Node, path: Path_) -> dict[str, Any]:
        value = self.build(node, (*path, "<<"))
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self.fail(node, "<< takes a map or a list of maps")
        return {key: value for part in reversed(parts) for key, value in part.items()}

    def key(self, node: yaml.Node, path: Path_) -> str:
        """Return a key as text. Keys are words; only nested keys may be numbers, such as camera IDs."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, "a key must be a word")
        key = ON if node.value == ON else self.scalar(node)
        if type(key) is int and len(path) > 1:
            return str(key)
        if not isinstance(key, str):
            meant = "nothing" if key is None else shown(key).lower()
            raise self.fail(node, f"the key {shown(node.value)} is read as {meant}; put it in quotes")
        if not key.isprintable() or not key.strip() or len(key) > LONGEST_KEY:
            raise self.fail(node, f"the key {shown(key)} must have at most {LONGEST_KEY} printable characters")
        return key
