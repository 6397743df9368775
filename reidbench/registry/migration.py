"""What a plugin written for an older reidbench must change: a sentence with the line, in place of a traceback."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import reidbench
from reidbench.errors import PluginError

HERE = Path(reidbench.__file__).parent
FIELDS: Mapping[str, str] = {
    "provides": "provides= is now capabilities= (backbones, data sets), protocol= (evaluators) or traits= (all others)",
    "uses": "uses= is now protocol=",
}
MOVED: Mapping[str, str] = {
    "reidbench.config": "reidbench.matrix.reading.reader",
    "reidbench.data.numbers": "reidbench.files.numbers",
    "reidbench.data.textfile": "reidbench.files.text",
    "reidbench.plan": "reidbench.matrix.plan",
    "reidbench.plugins": "reidbench.registry.plugins",
    "reidbench.runner": "reidbench.execution.runner",
    "reidbench.stages": "reidbench.stages.run",
    "reidbench.store": "reidbench.store.artifacts",
    "reidbench.supervision": "reidbench.words",
    "reidbench.training.parallel": "reidbench.training.devices",
}
LIGHT = ("reidbench", "reidbench.components")  # modules whose names are looked up: importing them costs nothing
RENAMED: Mapping[str, str] = {"Features": "Embedded"}  # of reidbench.components
UNEXPECTED = re.compile(r"Component.*unexpected keyword argument '(provides|uses)'")


class OutdatedPlugin(PluginError):
    """A plugin names what this reidbench does not have; the message says what to write."""


def refuse_outdated(module: str) -> None:
    """Raise OutdatedPlugin, with each place, where a plugin's files name what this reidbench does not have."""
    spec = importlib.util.find_spec(module)
    file = Path(spec.origin) if spec and spec.origin else None
    if file is None or not file.is_file():  # importing it says what is wrong
        return
    package = file.name == "__init__.py"
    files = sorted(file.parent.rglob("*.py")) if package else [file]
    top = file.parent.parent if package else file.parent
    found = [f"{path.relative_to(top).as_posix()}:{line}: {cure}" for path in files for line, cure in _outdated(path)]
    if found:
        more = f" (and {len(found) - 1} more)" if found[1:] else ""
        raise OutdatedPlugin("\n".join([*found[1:], f"written for an older reidbench: {found[0]}{more}"]))


def unexpected_field(error: BaseException) -> str:
    """The cure where a Component was given a field by a name of an older reidbench; "" for all other errors."""
    match = UNEXPECTED.search(str(error)) if isinstance(error, TypeError) else None
    return FIELDS[match[1]] if match else ""


def _outdated(file: Path) -> Iterator[tuple[int, str]]:
    """Line and cure of what one file names, outside of `try` and `if`, where it may be meant for several versions."""
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    if "reidbench" not in text:
        return
    try:
        waiting: deque[ast.AST] = deque([ast.parse(text)])
    except (SyntaxError, ValueError):  # importing it says what is wrong
        return
    while waiting:
        node = waiting.popleft()
        if isinstance(node, ast.Try | ast.If):
            continue
        for cure in _cures(node):
            yield getattr(node, "lineno", 1), cure
        waiting += ast.iter_child_nodes(node)


def _cures(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Component":
        yield from (FIELDS[str(keyword.arg)] for keyword in node.keywords if keyword.arg in FIELDS)
    elif isinstance(node, ast.Import):
        yield from (_missing(alias.name) for alias in node.names if not _exists(alias.name))
    elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "reidbench":
        module = str(node.module)
        if not _exists(module):
            yield _missing(module)
            return
        for alias in node.names:
            yield from _missing_name(module, alias.name)


def _missing_name(module: str, name: str) -> Iterator[str]:
    """The cure where a module does not have a name, as far as that can be seen without importing torch."""
    if name == "*" or _exists(f"{module}.{name}"):
        return
    if module in MOVED:  # now a package, whose parts hold what the module held
        yield f"import {name} from {MOVED[module]}, not from {module}"
    elif module in LIGHT and not hasattr(importlib.import_module(module), name):
        new = RENAMED.get(name, name)
        yield (
            f"import {new} from reidbench, not {name} from {module}"
            if hasattr(reidbench, new)
            else f"{module} has no {name}; CONTRIBUTING.md says what a plugin may import"
        )


def _exists(module: str) -> bool:
    """Whether there is such a module of reidbench; of all others it is none of our business."""
    first, *parts = module.split(".")
    place = HERE.joinpath(*parts)
    return first != "reidbench" or place.is_dir() or place.with_suffix(".py").is_file()


def _missing(module: str) -> str:
    if module in MOVED:
        return f"import {MOVED[module]}, not {module}"
    return f"there is no module {module}; CONTRIBUTING.md says what a plugin may import"
