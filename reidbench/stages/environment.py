"""What is installed beside reidbench: the versions of all packages that a stage could have imported."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType

PARTS = re.compile(r"[-_.]+")  # which installers take for the same in a name


@functools.cache
def installed() -> Mapping[str, str]:
    """Version by name of every distribution on the import path, as Python finds them: the first of a name counts.

    Looked up once in a process: a server does so before it forks.
    """
    found: dict[str, str] = {}
    for one in metadata.distributions():
        try:
            about = one.metadata
            name, version = (str(about[field]) if field in about else "" for field in ("Name", "Version"))
        except (OSError, ValueError):  # the metadata of another package are damaged: no stage fails for that
            continue
        if name:
            found.setdefault(PARTS.sub("-", name).lower(), version or "unknown")
    return MappingProxyType(dict(sorted(found.items())))
