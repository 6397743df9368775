"""Networks on disk: a JSON spec that rebuilds them, and their weights as safetensors. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from reidbench.components import load_attribute
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.files.networkfolder import is_backbone
from reidbench.training.networks.backbone import Backbone
from reidbench.training.networks.embedder import Embedder

from .carry import OwnNetwork, carry, grids_of
from .resnets import describe
from .transformers import Grid

BuildBackbone = Callable[[dict[str, Any]], Backbone]


def save_backbone(folder: Path, backbone: Backbone) -> None:
    """Write `backbone.json` and `backbone.safetensors`. Raises ReidbenchError for anything but a backbone."""
    if not isinstance(backbone, Backbone) or not hasattr(backbone, "spec"):
        raise ReidbenchError(f"a pretrainer must return the backbone to keep, got {type(backbone).__name__}")
    (folder / "backbone.json").write_text(json.dumps(describe(backbone)))  # also serves as a sidecar of the weights
    _save(backbone, folder / "backbone.safetensors")


def load_backbone(folder: Path, build: BuildBackbone, own: OwnNetwork | None = None) -> Backbone:
    """Rebuild a network saved by `save_backbone`, or load its weights into a step's own network.

    Raises ReidbenchError for invalid files, and for weights that do not fit.
    """
    with _rebuilding(folder, "backbone"):
        described = json.loads((folder / "backbone.json").read_text())
        backbone = build(dict(own.described) if own else described)
        for name in described.keys() & {"mean", "std"}:  # pixel statistics that the weights were trained with
            setattr(backbone, name, tuple(described[name]))
        state = load_file(folder / "backbone.safetensors")
        if own:
            carry(state, backbone, _grids(described, backbone, build), own)
        else:
            backbone.load_state_dict(state)
    return backbone


def _grids(before: dict[str, Any], now: Backbone, build: BuildBackbone) -> tuple[Grid, Grid] | None:
    """Patch grids of the described network and of the built one; None if either has none."""
    return grids_of(build(before), now) if hasattr(now, "grid") else None


@contextmanager
def _rebuilding(folder: Path, what: str) -> Iterator[None]:
    """Convert any error of a constructor, from a foreign spec or foreign weights, to one sentence."""
    try:
        yield
    except ReidbenchError:
        raise
    except Exception as error:
        why = shown(" ".join(str(error).split()) or type(error).__name__)
        raise ReidbenchError(f"{shown(folder / what)}: the {what} cannot be rebuilt: {why}") from error


def save_embedder(folder: Path, embedder: Embedder) -> None:
    """Write `embedder.json` and `embedder.safetensors`. Raises ReidbenchError for anything but an embedder."""
    if not isinstance(embedder, Embedder):
        raise ReidbenchError(f"the stage must return an Embedder, got {type(embedder).__name__}")
    name = f"{type(embedder).__module__}:{type(embedder).__qualname__}"
    (folder / "embedder.json").write_text(json.dumps({"class": name, "spec": embedder.spec}))
    _save(embedder, folder / "embedder.safetensors")


def load_embedder(
    folder: Path, build: BuildBackbone, packages: Mapping[str, str], own: OwnNetwork | None = None
) -> Embedder:
    """Rebuild an embedder saved by `save_embedder`; its class must come from `packages`, those of loaded plugins.

    With a step's own network, the weights are loaded into it, and images get that step's size. Raises ReidbenchError
    for another package, a class that is not an Embedder (which is not called), invalid files, and weights that do not
    fit.
    """
    with _rebuilding(folder, "embedder"):
        described = json.loads((folder / "embedder.json").read_text())
        kind = _embedder_class(str(described["class"]), packages)
        state = load_file(folder / "embedder.safetensors")
        embedder, grids = build_embedder(kind, described["spec"], build, own)
        if own:
            carry(state, embedder, grids, own)
        else:
            embedder.load_state_dict(state)
    return embedder


def build_embedder(
    kind: type[Embedder], described: Mapping[str, Any], build: BuildBackbone, own: OwnNetwork | None = None
) -> tuple[Embedder, tuple[Grid, Grid] | None]:
    """Return a new embedder of a class from its spec, and the patch grids of the described and the built network.

    With `own`, all of its backbones are that network. Errors of constructors are raised as they are.
    """
    spec = dict(described)
    pixels = spec["preprocess"]
    if own:
        spec["preprocess"] = {"size": own.size, "mean": pixels["mean"], "std": pixels["std"]}
    nets = {name: value["backbone"] for name, value in spec.items() if is_backbone(value)}
    built = {name: _rebuilt(net, pixels, build, own) for name, net in nets.items()}
    embedder = kind(**{**spec, **built})
    grids = next((_grids(net, built[name], build) for name, net in nets.items()), None) if own else None
    return embedder, grids


def _embedder_class(name: str, packages: Mapping[str, str]) -> type[Embedder]:
    package = name.partition(":")[0].partition(".")[0]
    if package not in packages:
        raise ReidbenchError(f"embedder {shown(name)} comes from {shown(package)}, which is not a loaded plugin")
    found = load_attribute(name)
    # A foreign store may name any function of these packages, and some of them write files.
    if not (isinstance(found, type) and issubclass(found, Embedder)):
        raise ReidbenchError(f"embedder {shown(name)} is not an Embedder")
    return found


def _rebuilt(
    described: dict[str, Any], pixels: Mapping[str, Any], build: BuildBackbone, own: OwnNetwork | None
) -> Backbone:
    """Backbone of an embedder, with the embedder's pixel statistics, for further training."""
    backbone = build(dict(own.described) if own else described)
    backbone.mean, backbone.std = tuple(pixels["mean"]), tuple(pixels["std"])
    return backbone


def _save(network: nn.Module, file: Path) -> None:
    save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}, file)
