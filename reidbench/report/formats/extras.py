"""Libraries that only some formats need: told in one sentence when they are not there."""

from __future__ import annotations

import importlib.util

from reidbench.errors import ReidbenchError


def require(what: str, *modules: str, extra: str = "report") -> None:
    """Raise ReidbenchError, with the command that cures it, when a module of an extra is missing."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ReidbenchError(f"{what} needs {', '.join(missing)}: pip install 'reidbench[{extra}]'")
