"""Environment variables that a matrix file names, and the stand-ins for what they would name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ALONE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def variable_of(written: object) -> str:
    """The variable in a path that is `${NAME}` alone; else empty. The path of one that is not set stays so."""
    alone = ALONE.fullmatch(str(written)) if isinstance(written, str | Path) else None
    return (alone[1] or alone[2]) if alone else ""


def named_roots(content: object, roots: Mapping[str, Path]) -> dict[str, Path]:
    """Of these roots, by data set, those that the content of a file gives as `${NAME}` alone, by that name.

    A variable that stands for two different roots is left out.
    """
    found: dict[str, set[Path]] = {}
    data = content.get("data") if isinstance(content, dict) else None
    for name, root in roots.items():
        given = data.get(name) if isinstance(data, dict) else None
        written = given.get("root") if isinstance(given, dict) else None
        if variable := variable_of(written):
            found.setdefault(variable, set()).add(root)
    return {name: next(iter(places)) for name, places in found.items() if len(places) == 1}
