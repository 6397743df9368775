"""Safe YAML that remembers its lines: plain values only, no duplicate keys, no alias tricks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError
from .plugins import printable

Path_ = tuple[str | int, ...]
# Aliases can make a small file stand for billions of values; a real matrix has a few thousand.
MOST_VALUES = 200_000
PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}
MERGE = "tag:yaml.org,2002:merge"


@dataclass
class Tree:
    """The values of a file, and the line of each by its path of keys and indices."""

    file: Path
    value: Any
    lines: dict[Path_, int]

    def line(self, path: Path_) -> int:
        """Line of the value at `path`, or of the nearest one around it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_tree(file: Path) -> Tree:
    """Read one YAML file. Raises ConfigError as `file:line: sentence`."""
    try:
        text = Path(file).read_bytes().decode()
    except OSError as error:
        raise ConfigError([f"{file}:1: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            [f"{file}:{line}: not a text file (byte {error.object[error.start]:#04x} is no UTF-8)"]
        ) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError([f"{file}:{line}: not a text file (control character {error.character:#04x})"]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([f"{file}:{_line(error)}: {_sentence(error)}"]) from None
    except RecursionError:
        raise ConfigError([f"{file}:1: nested too deeply for a matrix file"]) from None
    if node is None:
        raise ConfigError([f"{file}:1: the file is empty; a matrix needs data, tasks, backbone and methods"])
    builder = _Builder(file)
    return Tree(file, builder.build(node, ()), builder.lines)


def _line(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _sentence(error: yaml.MarkedYAMLError) -> str:
    text = ", ".join(part for part in (error.context, error.problem) if part)
    return printable(f"{text}; indent with spaces, not tabs" if "'\\t'" in text else f"not YAML: {text}")


class _Builder:
    """Turns composed nodes into plain values, noting lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[Path_, int] = {}
        self.open: set[int] = set()  # nodes being built: meeting one again means that it contains itself
        self.scalars = yaml.constructor.SafeConstructor()

    def fail(self, node: yaml.Node, sentence: str) -> ConfigError:
        return ConfigError([f"{self.file}:{node.start_mark.line + 1}: {printable(sentence)}"])

    def build(self, node: yaml.Node, path: Path_) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(self.lines) > MOST_VALUES:
            raise self.fail(node, f"aliases stand for more than {MOST_VALUES} values")
        if id(node) in self.open:
            raise self.fail(node, "an alias contains itself")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.ScalarNode):
                return self.scalar(node)
            if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
                return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
                return self.mapping(node, path)
            raise self.fail(node, f"the tag {node.tag} is not allowed; write plain values")
        finally:
            self.open.discard(id(node))

    def scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        if node.tag not in PLAIN:
            raise self.fail(node, f"the tag {node.tag} is not allowed; write plain values")
        try:
            return self.scalars.construct_object(node)
        except (ValueError, yaml.YAMLError):
            raise self.fail(node, f"{node.value!r} is no valid {node.tag.rpartition(':')[2]}") from None

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                merged = {**self.merge(value_node, path), **merged}
                continue
            key = self.key(key_node)
            if key in built:
                raise self.fail(key_node, f"{key!r} appears twice (first on line {self.lines[(*path, key)]})")
            # The key's line, not the value's: that is where a reader looks.
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, (*path, key))
        return {**merged, **built}

    def merge(self, node: yaml.Node, path: Path_) -> dict[str, Any]:
        value = self.build(node, (*path, "<<"))
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self.fail(node, "<< takes a map or a list of maps")
        return {key: value for part in reversed(parts) for key, value in part.items()}

    def key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, "a key must be a word")
        key = self.scalar(node)
        if not isinstance(key, str):
            raise self.fail(node, f"the key {node.value} is read as {key!r}; put it in quotes")
        if not key.isprintable() or not key.strip():
            raise self.fail(node, f"the key {key!r} has characters that cannot be printed")
        return key
