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
from reidbench.training.networks.backbone import Backbone
from reidbench.training.networks.embedder import Embedder

from .resnets import describe

BuildBackbone = Callable[[dict[str, Any]], Backbone]


def save_backbone(folder: Path, backbone: Backbone) -> None:
    """Write `backbone.json` and `backbone.safetensors`. Raises ReidbenchError for something else than a backbone."""
    if not isinstance(backbone, Backbone) or not hasattr(backbone, "spec"):
        raise ReidbenchError(f"a pretrainer must return the backbone to keep, got {type(backbone).__name__}")
    (folder / "backbone.json").write_text(json.dumps(describe(backbone)))  # which is also a sidecar of the weights
    _save(backbone, folder / "backbone.safetensors")


def load_backbone(folder: Path, build: BuildBackbone) -> Backbone:
    """Rebuild what `save_backbone` wrote. Raises ReidbenchError for files that are something else."""
    with _rebuilding(folder, "backbone"):
        described = json.loads((folder / "backbone.json").read_text())
        backbone = build(described)
        for name in described.keys() & {"mean", "std"}:  # the pixels that the weights were trained on
            setattr(backbone, name, tuple(described[name]))
        backbone.load_state_dict(load_file(folder / "backbone.safetensors"))
    return backbone


@contextmanager
def _rebuilding(folder: Path, what: str) -> Iterator[None]:
    """Whatever a foreign spec or foreign weights make a constructor raise becomes one sentence."""
    try:
        yield
    except ReidbenchError:
        raise
    except Exception as error:
        why = shown(" ".join(str(error).split()) or type(error).__name__)
        raise ReidbenchError(f"{shown(folder / what)}: the {what} cannot be rebuilt: {why}") from error


def save_embedder(folder: Path, embedder: Embedder) -> None:
    """Write `embedder.json` and `embedder.safetensors`. Raises ReidbenchError for something else than an embedder."""
    if not isinstance(embedder, Embedder):
        raise ReidbenchError(f"the stage must return an Embedder, got {type(embedder).__name__}")
    name = f"{type(embedder).__module__}:{type(embedder).__qualname__}"
    (folder / "embedder.json").write_text(json.dumps({"class": name, "spec": embedder.spec}))
    _save(embedder, folder / "embedder.safetensors")


def load_embedder(folder: Path, build: BuildBackbone, packages: Mapping[str, str]) -> Embedder:
    """Rebuild what `save_embedder` wrote; its class must come from one of `packages`, those of loaded plugins.

    Raises ReidbenchError for another package, for something that is no Embedder, which is not called, and for files
    that are something else.
    """
    with _rebuilding(folder, "embedder"):
        described = json.loads((folder / "embedder.json").read_text())
        kind = _embedder_class(str(described["class"]), packages)
        pixels = described["spec"]["preprocess"]
        embedder = kind(**{key: _rebuilt(value, pixels, build) for key, value in described["spec"].items()})
        embedder.load_state_dict(load_file(folder / "embedder.safetensors"))
    return embedder


def _embedder_class(name: str, packages: Mapping[str, str]) -> type[Embedder]:
    package = name.partition(":")[0].partition(".")[0]
    if package not in packages:
        raise ReidbenchError(f"embedder {shown(name)} comes from {shown(package)}, which is no loaded plugin")
    found = load_attribute(name)
    # A store from elsewhere may name any function of these packages, and some of them write files.
    if not (isinstance(found, type) and issubclass(found, Embedder)):
        raise ReidbenchError(f"embedder {shown(name)} is no Embedder")
    return found


def _rebuilt(value: Any, pixels: Mapping[str, Any], build: BuildBackbone) -> Any:
    """A value of a spec; a backbone goes on with the pixel statistics of its embedder, for further training."""
    if not isinstance(value, dict) or "backbone" not in value:
        return value
    backbone = build(value["backbone"])
    backbone.mean, backbone.std = tuple(pixels["mean"]), tuple(pixels["std"])
    return backbone


def _save(network: nn.Module, file: Path) -> None:
    save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}, file)
