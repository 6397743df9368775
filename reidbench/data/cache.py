"""Where derived files are kept: rendered sets, unpacked archives, the index of content hashes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$REIDBENCH_CACHE`, or `reidbench` in the user's cache folder."""
    given = os.environ.get("REIDBENCH_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "reidbench"
