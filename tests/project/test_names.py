"""The core is independent of methods, data sets and networks: its code names none of them."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench.hookspecs import EVERY_HOOK, HOOKS
from reidbench.registry import plugins

CORE = Path(plugins.__file__).parents[1]
# Components named by an ordinary word, a format or a definition, which the core uses in that sense.
WORDS = {
    "all", "none", "list", "random", "grid", "weights", "cluster", "oracle", "folder",
    "cosine", "euclidean", "market1501",  # distances, and the camera rule
    "bot", "bdb", "mgn", "spcl", "dino", "transreid", "cluster-contrast", "mobilenet-v2",  # layouts of weight files
    "timm", "torchreid", "onnx",  # packages, a score's definition, a format and an extra
    "viper",  # a data set that defines a protocol of the field
}  # fmt: skip
PLACES = {"use", "select", "pretrain", "finetune", "adapt", *HOOKS}  # of a matrix file, which names follow
HOOKLESS = [name for name in plugins.BUILTIN if name not in EVERY_HOOK.values()]  # a hook may have a package's name
PACKAGE = re.compile(rf"\b({'|'.join(HOOKLESS)})\b|\b({'|'.join(plugins.BUILTIN)})[.:]")


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield every string of a file except docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {id(node.body[0].value) for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def named(source: str, components: set[tuple[str, str]]) -> list[str]:
    """Names in a file: plugins by package, components by a string that is their name, or after their kind."""
    tree = ast.parse(source)
    names = {name for _, name in components}
    found = [text for text in texts(tree) if text in names - WORDS or PACKAGE.search(text)]
    pairs: list[tuple[Any, Any]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            pairs += itertools.pairwise(getattr(argument, "value", None) for argument in node.args)
        elif isinstance(node, ast.Dict):
            values = [[getattr(one, "value", None) for one in side] for side in (node.keys, node.values)]
            pairs += zip(*values, strict=True)
    return found + [f"{place} {name}" for place, name in pairs if place in PLACES and name in names]


@pytest.mark.slow
def test_no_file_of_the_core_names_a_plugin_or_a_component(registry: plugins.Registry) -> None:
    components = {(kind, name) for kind, name in registry.components if kind in HOOKS}  # others are names of programs
    found = {file: named(file.read_text(), components) for file in CORE.rglob("*.py")}
    assert found.pop(Path(plugins.__file__)) == HOOKLESS
    assert {file.relative_to(CORE): texts for file, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "line",
    [
        'registry.get("dataset", "synthetic")',
        'READER = "market-folder"',
        'target = "reidbench_baseline.resnet:tiny"',
        'choice("finetuner", "none")',
        'steps = ({"finetune": "none"},)',
        'value = {"use": "cosine"}',
    ],
)
def test_a_file_that_names_one_is_found(line: str, registry: plugins.Registry) -> None:
    assert named(line, set(registry.components))


def test_documentation_may_give_examples(registry: plugins.Registry) -> None:
    assert not named('"""market-folder"""\nhelp = "a data set, like market-folder"\n', set(registry.components))
