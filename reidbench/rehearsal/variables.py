"""Environment variables with which a matrix file names its roots and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ALONE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def named_roots(content: object, roots: Mapping[str, Path]) -> dict[str, Path]:
    """Return the roots that a matrix file gives only as `${NAME}`, by variable; `roots` are by data set.

    A variable for two different roots is skipped.
    """
    found: dict[str, set[Path]] = {}
    data = content.get("data") if isinstance(content, dict) else None
    for name, root in roots.items():
        given = data.get(name) if isinstance(data, dict) else None
        written = given.get("root") if isinstance(given, dict) else None
        alone = ALONE.fullmatch(written) if isinstance(written, str) else None
        if alone:
            found.setdefault(alone[1] or alone[2], set()).add(root)
    return {name: next(iter(places)) for name, places in found.items() if len(places) == 1}


def named_files(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the stand-ins for paths that are only `${NAME}`, by variable."""
    alone = {ALONE.fullmatch(written): place for written, place in files.items()}
    return {match[1] or match[2]: place for match, place in alone.items() if match}
