"""Where derived files are kept: rendered sets, unpacked archives, the index of content hashes."""

from __future__ import annotations

import os
from pathlib import Path

from reidbench.errors import DataError


def cache_folder() -> Path:
    """`$REIDBENCH_CACHE`, or `reidbench` in the user's cache folder. Raises DataError where no home folder is known."""
    given = os.environ.get("REIDBENCH_CACHE")
    try:
        if given:
            return Path(given).expanduser().absolute()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "reidbench"
    except RuntimeError:
        raise DataError("no home folder is known for the cache: set REIDBENCH_CACHE to a folder, or HOME") from None
