"""Upgrade hints for plugins written for an older reidbench: an error with the line, instead of a traceback."""

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
LIGHT = ("reidbench", "reidbench.components")  # modules whose names are checked: importing them is cheap
RENAMED: Mapping[str, str] = {"Features": "Embedded"}  # in reidbench.components
UNEXPECTED = re.compile(r"Component.*unexpected keyword argument '(provides|uses)'")


class OutdatedPlugin(PluginError):
    """Raised when a plugin uses a name that this reidbench does not have; the message gives the replacement."""


def refuse_outdated(module: str) -> None:
    """Raise OutdatedPlugin, with all places, if a plugin's files use names that this reidbench does not have."""
    spec = importlib.util.find_spec(module)
    file = Path(spec.origin) if spec and spec.origin else None
    if file is None or not file.is_file():  # importing it gives the error
        return
    package = file.name == "__init__.py"
    files = sorted(file.parent.rglob("*.py")) if package else [file]
    top = file.parent.parent if package else file.parent
    found = [f"{path.relative_to(top).as_posix()}:{line}: {cure}" for path in files for line, cure in _outdated(path)]
    if found:
        more = f" (and {len(found) - 1} more)" if found[1:] else ""
        raise OutdatedPlugin("\n".join([*found[1:], f"written for an older reidbench: {found[0]}{more}"]))


def unexpected_field(error: BaseException) -> str:
    """Return the fix for a Component field named as in an older reidbench; "" for all other errors."""
    match = UNEXPECTED.search(str(error)) if isinstance(error, TypeError) else None
    return FIELDS[match[1]] if match else ""


def _outdated(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and fix for each outdated name in a file; skip `try` and `if`, which may support several versions."""
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    if "reidbench" not in text:
        return
    try:
        waiting: deque[ast.AST] = deque([ast.parse(text)])
    except (SyntaxError, ValueError):  # importing it gives the error
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
    """Yield the fix for a name that a module does not have, as far as known without importing torch."""
    if name == "*" or _exists(f"{module}.{name}"):
        return
    if module in MOVED:  # now a package, whose submodules have its contents
        yield f"import {name} from {MOVED[module]}, not from {module}"
    elif module in LIGHT and not hasattr(importlib.import_module(module), name):
        new = RENAMED.get(name, name)
        yield (
            f"import {new} from reidbench, not {name} from {module}"
            if hasattr(reidbench, new)
            else f"{module} has no {name}; see CONTRIBUTING.md for what a plugin may import"
        )


def _exists(module: str) -> bool:
    """Return whether reidbench has such a module; True for modules outside reidbench."""
    first, *parts = module.split(".")
    place = HERE.joinpath(*parts)
    return first != "reidbench" or place.is_dir() or place.with_suffix(".py").is_file()


def _missing(module: str) -> str:
    if module in MOVED:
        return f"import {MOVED[module]}, not {module}"
    return f"there is no module {module}; see CONTRIBUTING.md for what a plugin may import"
