"""Networks built from descriptions or loaded from files of stages."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.files.networkfolder import NetworkFolder
from reidbench.matrix.benchmark import Choice, canonical
from reidbench.matrix.labels import params_text
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry

from . import folders

if TYPE_CHECKING:
    from reidbench.training.weights.carry import OwnNetwork


class StageError(ReidbenchError):
    """Raised when a stage cannot produce its result."""


def build_backbone(registry: Registry, described: Mapping[str, Any], *, whole: bool = False) -> Any:
    """Build a new network from `{use, params, image_size}`.

    With `whole`, a network that is read with its neck or branches keeps them in `Backbone.whole`: right only for a step
    that starts from no other weights.
    """
    from reidbench.training import Backbone

    component = registry.get("backbone", described["use"])
    size = ImageSize.given(described["image_size"])
    params = component.params(**described["params"])
    try:
        target = component.load()
        if "rebuild" in inspect.signature(target).parameters:
            network = target(params, size, rebuild=partial(rebuilt_network, registry))
        else:
            network = target(params, tuple(size))
    except ReidbenchError:
        raise
    except Exception as error:  # otherwise the calling method would seem to have failed
        given = params_text(Choice("backbone", component, params).changed)
        name = described["use"] + (f" ({given})" if given else "")
        raise StageError(f"backbone {name}: {plugins.describe(error)}") from error
    if not isinstance(network, Backbone):
        raise StageError(f"backbone {described['use']} must be a reidbench.training.Backbone")
    if network.whole is None:
        network.spec = {"use": described["use"], "params": dict(described["params"]), "image_size": list(size)}
    elif not whole:  # its own spec rebuilds it without the files that it was read from
        network.whole = None
    return network


def rebuilt_network(registry: Registry, given: NetworkFolder, image_size: tuple[int, int]) -> Any:
    """Return the network of an exported folder for images of this size, from what loaded plugins declare."""
    return folders.rebuilt(registry, build_backbone, given, image_size)


def saved_backbone(registry: Registry, folder: Path, own: OwnNetwork | None = None) -> Any:
    """Load the backbone saved by a stage, or a step's own network with its weights."""
    from reidbench.training.weights.artifacts import load_backbone

    return load_backbone(folder, partial(build_backbone, registry), own)


def saved_embedder(registry: Registry, folder: Path, own: OwnNetwork | None = None) -> Any:
    """Load the embedder saved by a stage, optionally around a step's own network with its weights."""
    from reidbench.training.weights.artifacts import load_embedder

    return load_embedder(folder, partial(build_backbone, registry), plugins.packages(registry), own)


def network_hash(folder: Path) -> str:
    """Return a hash of a saved embedder's class and tensor shapes, independent of the values.

    Empty if the folder has no readable one.
    """
    try:
        described = json.loads((folder / "embedder.json").read_text())
        with (folder / "embedder.safetensors").open("rb") as file:
            tensors = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes = {name: tensor["shape"] for name, tensor in tensors.items() if name != "__metadata__"}
        return hashlib.sha256(canonical([described["class"], shapes]).encode()).hexdigest()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError):
        return ""
