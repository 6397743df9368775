"""Provenance of an artifact in its manifest, which no key depends on."""

from __future__ import annotations

import functools
import os
import platform
import re
import socket
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType
from typing import Any

from reidbench.matrix.devices import processor
from reidbench.registry import plugins

from .inputs import Inputs

PARTS = re.compile(r"[-_.]+")  # equivalent characters in names of distributions


def provenance(inputs: Inputs) -> dict[str, Any]:
    """Return the provenance of a stage's artifact, which no key depends on."""
    spec, component = inputs.spec.dump(), (inputs.spec.kind.component, inputs.stage.use)
    own = inputs.registry.components.get(component)
    versions = {name: _version(name) for name in ("reidbench", "torch", "torchvision", "numpy", "scipy")}
    return {
        "stage": {name: value for name, value in spec["stage"].items() if name != "secrets"},
        "settings": {"image_size": list(inputs.spec.size), "threads": spec["threads"], "precision": spec["precision"]}
        | {"devices": inputs.devices, **inputs.spec.size.said},
        "versions": {"python": platform.python_version(), **versions},
        "environment": inputs.store.keep_environment(installed()),
        **({"version": own.version} if own else {}),
        "plugin": inputs.registry.source.get(component, "reidbench"),
        "source": plugins.source_hash(inputs.registry, *component),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": processor(inputs.spec.kind.torch),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def installed() -> Mapping[str, str]:
    """Return the versions of all distributions on the import path by name, first match first, as Python finds them.

    Cached in a process until its import path or a folder on it changes. A server calls it before it forks.
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
        except (OSError, ValueError):  # damaged metadata of another package must not fail a stage
            continue
        if name:
            found.setdefault(PARTS.sub("-", name).lower(), version or "unknown")
    return MappingProxyType(dict(sorted(found.items())))
