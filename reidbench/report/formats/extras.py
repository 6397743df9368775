"""Optional libraries that only some formats require."""

from __future__ import annotations

import importlib.util

from reidbench.errors import ReidbenchError


def require(what: str, *modules: str, extra: str = "report") -> None:
    """Raise ReidbenchError with the install command if a module of an extra is missing."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ReidbenchError(f"{what} requires {', '.join(missing)}: pip install 'reidbench[{extra}]'")
