"""Networks from their descriptions and from the files that stages saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import Choice, canonical
from reidbench.matrix.labels import params_text
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry

if TYPE_CHECKING:
    from reidbench.training.weights.carry import OwnNetwork


class StageError(ReidbenchError):
    """A stage cannot give what it must."""


def build_backbone(registry: Registry, described: Mapping[str, Any]) -> Any:
    """A fresh network from `{use, params, image_size}`."""
    from reidbench.training import Backbone

    component = registry.get("backbone", described["use"])
    size = tuple(described["image_size"])
    params = component.params(**described["params"])
    try:
        network = component.load()(params, size)
    except ReidbenchError:
        raise
    except Exception as error:  # else the method that asked for it would seem to be at fault
        given = params_text(Choice("backbone", component, params).changed)
        name = described["use"] + (f" ({given})" if given else "")
        raise StageError(f"backbone {name}: {plugins.describe(error)}") from error
    if not isinstance(network, Backbone):
        raise StageError(f"backbone {described['use']} must be a reidbench.training.Backbone")
    network.spec = {"use": described["use"], "params": dict(described["params"]), "image_size": list(size)}
    return network


def saved_backbone(registry: Registry, folder: Path, own: OwnNetwork | None = None) -> Any:
    """The backbone that a stage saved, or a network of a step's own with its weights."""
    from reidbench.training.weights.artifacts import load_backbone

    return load_backbone(folder, partial(build_backbone, registry), own)


def saved_embedder(registry: Registry, folder: Path, own: OwnNetwork | None = None) -> Any:
    """The embedder that a stage saved, or the same around a network of a step's own with its weights."""
    from reidbench.training.weights.artifacts import load_embedder

    return load_embedder(folder, partial(build_backbone, registry), plugins.packages(registry), own)


def network_hash(folder: Path) -> str:
    """A hash of the class of a saved embedder and the shapes of its tensors, whatever their values.

    Empty where the folder has none that can be read.
    """
    try:
        described = json.loads((folder / "embedder.json").read_text())
        with (folder / "embedder.safetensors").open("rb") as file:
            tensors = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes = {name: tensor["shape"] for name, tensor in tensors.items() if name != "__metadata__"}
        return hashlib.sha256(canonical([described["class"], shapes]).encode()).hexdigest()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError):
        return ""
