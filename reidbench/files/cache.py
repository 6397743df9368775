"""Cache folder for derived files: rendered sets, unpacked archives, the index of content hashes."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from reidbench.errors import DataError


def cache_folder() -> Path:
    """Return `$REIDBENCH_CACHE`, or `reidbench` in the system's cache folder (Linux: $XDG_CACHE_HOME or ~/.cache).

    Raises DataError if the home folder is unknown.
    """
    given = os.environ.get("REIDBENCH_CACHE")
    try:
        return (Path(given) if given else user_cache_path("reidbench")).expanduser().absolute()
    except RuntimeError:
        raise DataError("no home folder for the cache: set REIDBENCH_CACHE to a folder, or HOME") from None
