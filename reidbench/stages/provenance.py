"""What a manifest says about the making of its artifact, and no key depends on."""

from __future__ import annotations

import platform
import socket
import time
from importlib import metadata
from typing import Any

from reidbench.matrix.devices import processor
from reidbench.registry import plugins

from .environment import installed
from .inputs import Inputs


def provenance(inputs: Inputs) -> dict[str, Any]:
    """What a reader of the artifact may want to know, and no key depends on."""
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
