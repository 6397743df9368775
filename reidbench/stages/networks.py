"""Networks from their descriptions and from the files that stages saved."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry


class StageError(ReidbenchError):
    """A stage cannot give what it must."""


def build_backbone(registry: Registry, described: Mapping[str, Any]) -> Any:
    """A fresh network from `{use, params, image_size}`."""
    from reidbench.training import Backbone

    component = registry.get("backbone", described["use"])
    size = tuple(described["image_size"])
    network = component.load()(component.params(**described["params"]), size)
    if not isinstance(network, Backbone):
        raise StageError(f"backbone {described['use']} must be a reidbench.training.Backbone")
    network.spec = {"use": described["use"], "params": dict(described["params"]), "image_size": list(size)}
    return network


def saved_backbone(registry: Registry, folder: Path) -> Any:
    """The backbone that a stage saved."""
    from reidbench.training.weights.artifacts import load_backbone

    return load_backbone(folder, partial(build_backbone, registry))


def saved_embedder(registry: Registry, folder: Path) -> Any:
    """The embedder that a stage saved."""
    from reidbench.training.weights.artifacts import load_embedder

    return load_embedder(folder, partial(build_backbone, registry), plugins.packages(registry))
