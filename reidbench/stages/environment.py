"""What is installed beside reidbench: the versions of all packages that a stage could have imported."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType

PARTS = re.compile(r"[-_.]+")  # which installers take for the same in a name


def installed() -> Mapping[str, str]:
    """Version by name of every distribution on the import path, as Python finds them: the first of a name counts.

    Looked up once in a process, until its import path or one of the folders on it changes. A server does so before it
    forks.
    """
    return _installed(tuple((place, _changed(place)) for place in sys.path))


def _changed(place: str) -> int:
    try:
        return os.stat(place or ".").st_mtime_ns  # noqa: PTH116 - a place on the path is text
    except (OSError, ValueError):
        return 0


@functools.lru_cache(maxsize=8)
def _installed(places: tuple[tuple[str, int], ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for one in metadata.distributions(path=[place for place, _ in places]):
        try:
            about = one.metadata
            name, version = (str(about[field]) if field in about else "" for field in ("Name", "Version"))
        except (OSError, ValueError):  # the metadata of another package are damaged: no stage fails for that
            continue
        if name:
            found.setdefault(PARTS.sub("-", name).lower(), version or "unknown")
    return MappingProxyType(dict(sorted(found.items())))
