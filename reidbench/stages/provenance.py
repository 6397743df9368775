"""What a manifest says about the making of its artifact, and no key depends on."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from reidbench.matrix.devices import devices_for, processor
from reidbench.matrix.kinds import OF_STAGE
from reidbench.registry import plugins


def stage_devices(spec: Mapping[str, Any], registry: plugins.Registry) -> int:
    """How many devices this stage takes. Raises OneDevice when its component does not train on several."""
    stage = spec["stage"]
    kind = OF_STAGE[stage["kind"]]
    if not kind.several_devices:
        return 1
    component = registry.get(kind.component, stage["use"])
    return devices_for(stage["kind"], component, component.params(**stage["params"]), spec["devices"])


def provenance(spec: Mapping[str, Any], registry: plugins.Registry) -> dict[str, Any]:
    """What a reader of the artifact may want to know, and no key depends on."""
    stage = spec["stage"]
    kind = OF_STAGE[stage["kind"]]
    versions = {name: _version(name) for name in ("reidbench", "torch", "torchvision", "numpy", "scipy")}
    return {
        "stage": stage,
        "settings": {name: spec[name] for name in ("image_size", "threads", "precision")}
        | {"devices": stage_devices(spec, registry)},
        "versions": {"python": platform.python_version(), **versions},
        "plugin": registry.source.get((kind.component, stage["use"]), "reidbench"),
        "source": plugins.source_hash(registry, kind.component, stage["use"]),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": processor(kind.torch),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
