"""Environment variables in users' paths: `${MARKET1501}`, `$DATA/msmt17`."""

from __future__ import annotations

import os
import re

from reidbench.errors import ReidbenchError

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)|\$)", re.ASCII)


class UnsetVariable(ReidbenchError):
    """Raised when a path uses an environment variable that is not set or empty; the rest of the path is never meant."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the environment variable {name} is {'empty' if name in os.environ else 'not set'}")


def expanded(path: str) -> str:
    """Return the path with `${NAME}` and `$NAME` replaced; `$$` is a dollar sign. Raises UnsetVariable."""
    return _VARIABLE.sub(_value, path)


def _value(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    if not name:
        return "$"
    if not os.environ.get(name):
        raise UnsetVariable(name)
    return os.environ[name]
