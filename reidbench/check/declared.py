"""Checks that run no component: the declaration, parameter descriptions, and the plugin's README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from reidbench.components import Component
from reidbench.hookspecs import EVERY_HOOK
from reidbench.registry.plugins import Plugin, one_line

from .report import Broken, need

HEAVY = ("torch", "torchvision", "timm", "lightning_fabric", "faiss", "sklearn")
DECLARE = """
import importlib, sys
module = importlib.import_module(sys.argv[1])
for hook in sys.argv[2].split(","):
    for component in (getattr(module, hook, None) or tuple)():
        component.params.model_json_schema()
print(*[name for name in sys.argv[3].split(",") if name in sys.modules])
"""


def light_import(plugin: Plugin, timeout: float) -> None:
    """Check that the plugin declares its components within `timeout` seconds, without importing torch and the like."""
    paths = [os.path.abspath(path or ".") for path in sys.path]  # noqa: PTH100 - import paths are text
    command = [sys.executable, "-c", DECLARE, plugin.module, ",".join(EVERY_HOOK.values()), ",".join(HEAVY)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout)  # noqa: S603 - the current interpreter
    except subprocess.TimeoutExpired:
        raise Broken(
            f"import: takes longer than {timeout:g} s in a fresh interpreter; raise the limit with --timeout"
        ) from None
    need(done.returncode == 0, f"import: fails in a fresh interpreter: {one_line(done.stderr)}")
    loaded = done.stdout.split()
    need(not loaded, f"import: the declaration imports {', '.join(loaded)}; import it in the module of the target")


def described(component: Component) -> None:
    """Check for a summary, and for a description of every parameter."""
    need(bool(component.summary), "params: the component has no summary")
    mute = [name for name, info in component.params.model_fields.items() if not (info.description or "").strip()]
    need(not mute, f"params: no description of {', '.join(mute)}")


def readme(plugin: Plugin, components: list[Component]) -> None:
    """Check that a package's README names its components and, for methods of papers, lists deviations."""
    text = _readme_text(plugin)
    if text is None:
        return
    need(bool(text), "readme: the package has no README.md next to its code, and no description in its metadata")
    unnamed = [component.name for component in components if not re.search(rf"(?<!\w){component.name}(?!\w)", text)]
    need(not unnamed, f"readme: the README does not mention {', '.join(unnamed)}; describe each component in it")
    if any(component.paper for component in components):
        says = re.search(r"differ|deviat", text, re.IGNORECASE)
        need(bool(says), "readme: a component has a paper, but the README does not list deviations from it")


def _readme_text(plugin: Plugin) -> str | None:
    """Return the README of a package, "" if it has none, None for a single module, which needs none."""
    file = Path(plugin.file)
    package = file.name == "__init__.py"
    near = [file.parent] if package else []
    above = [file.parent.parent, file.parent.parent.parent] if package else [file.parent]
    near += [folder for folder in above if (folder / "pyproject.toml").is_file() and folder.name != "plugins"]
    for folder in near:
        if (folder / "README.md").is_file() and _is_its_own(folder, file):
            return (folder / "README.md").read_text()
    distribution, _, entry = plugin.name.partition(":")
    try:
        content = metadata.distribution(distribution).read_text("METADATA") if entry else ""
    except metadata.PackageNotFoundError:
        content = ""
    long_description = (content or "").partition("\n\n")[2].strip()
    if long_description:
        return long_description
    return "" if package or any((folder / "pyproject.toml").is_file() for folder in above) else None


def _is_its_own(folder: Path, file: Path) -> bool:
    """Return whether a README in `folder` is of the package: only if the package is at the top of its project."""
    return file.parent in (folder, folder / file.parent.name, folder / "src" / file.parent.name)
