"""A plugin package to start from: the files beside this one, with a name put in.

Imports registry and errors. Begin with `method.py.tmpl`, which is what a plugin author sees.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

from reidbench.errors import ReidbenchError
from reidbench.registry.declarations import NAME

FILES = {
    "pyproject.toml": "pyproject.toml.tmpl",
    "README.md": "README.md.tmpl",
    "{module}/__init__.py": "init.py.tmpl",
    "{module}/method.py": "method.py.tmpl",
    "tests/test_{module}.py": "test.py.tmpl",
}


def names(name: str) -> dict[str, str]:
    """What a plugin's name stands for: component, distribution and module. Raises ReidbenchError for a bad one."""
    short = name.lower().replace("_", "-").removeprefix("reidbench-")
    if not NAME.fullmatch(short) or not re.match("[a-z]", short):
        raise ReidbenchError(f"{name!r}: a plugin's name is words of a-z and 0-9 joined by '-', like mean-colour")
    return {"name": short, "distribution": f"reidbench-{short}", "module": f"reidbench_{short.replace('-', '_')}"}


def render(name: str) -> dict[str, str]:
    """The files of a new plugin: path in the project -> text."""
    words = names(name)
    here = resources.files(__package__)
    return {
        path.format(**words): Template((here / template).read_text(encoding="utf-8")).substitute(words)
        for path, template in FILES.items()
    }


def write(name: str, folder: Path | None = None) -> Path:
    """Write them into a folder, by default one of the distribution's name. Raises ReidbenchError unless it is empty."""
    folder = folder or Path(names(name)["distribution"])
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ReidbenchError(f"{folder}: is there already; give another folder")
        for path, text in render(name).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReidbenchError(f"{folder}: cannot be written: {error.strerror}") from None
    return folder
