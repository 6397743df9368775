"""Export a trained network as a folder in the layout of the Hugging Face hub, and check that it can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidbench import __version__
from reidbench.errors import ReidbenchError
from reidbench.files.atomic import is_empty, whole_folder
from reidbench.files.names import shown
from reidbench.files.networkfolder import CARD, CONFIG, WEIGHTS, NetworkFolder, is_backbone, read_network
from reidbench.matrix.kinds import OF_STAGE
from reidbench.registry.plugins import Registry
from reidbench.stages.folders import capabilities_of, class_name, without_weights
from reidbench.stages.networks import rebuilt_network
from reidbench.store.artifact import Artifact
from reidbench.store.artifacts import Store

from .card import Facts, check_licence, render
from .lineage import Lineage, labels_behind, lineage
from .recipe import recipe
from .scores import Tested

if TYPE_CHECKING:
    from reidbench.training import Embedder

Redact = Callable[[str], str]
Check = Callable[[str, bytes], None]  # raises ReidbenchError if a file contains the name of a user or a host


def check_folder(out: Path, licence: str | None) -> None:
    """Raise ReidbenchError if the folder cannot be written, or for an invalid licence."""
    check_licence(licence)
    if not out.absolute().parent.is_dir():
        raise ReidbenchError(f"{shown(out)}: no such folder {shown(out.absolute().parent)}")
    if out.exists() and not is_empty(out):
        raise ReidbenchError(f"{shown(out)}: already exists; remove it, or name a new folder")


def export_folder(
    embedder: Embedder,
    artifact: Artifact,
    store: Store,
    registry: Registry,
    out: Path,
    tested: Tested,
    *,
    flip: bool = False,
    licence: str | None = None,
    redact: Redact,
    check: Check,
) -> list[str]:
    """Write a network with its card to a new folder. Returns lines that describe the output.

    `flip` says that the row averages the features of an image and its mirror image, which the folder does not do.
    Raises ReidbenchError for a network that needs more than images, or whose class, backbone or weights cannot be
    rebuilt from the folder with exactly the same features, and for a file that would contain the name of a user or a
    host.
    """
    from safetensors.torch import save_file

    check_folder(out, licence)
    found = lineage(store, artifact)
    network = _described(embedder, found, registry, out, redact)
    written, left_out = recipe(registry, found, tested.method, tested.data, flip=flip)
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in embedder.state_dict().items()}
    try:
        with whole_folder(out) as folder:
            save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
            (folder / CONFIG).write_text(json.dumps(network.described(), indent=1) + "\n", encoding="utf-8")
            dim = _require_same(embedder, folder, registry)
            card = render(registry, Facts(network, artifact, found, tested, written, left_out, dim, flip, licence))
            (folder / CARD).write_text(redact(card), encoding="utf-8")
            for name in (CONFIG, CARD):
                check(name, (folder / name).read_bytes())
    except OSError as error:
        raise ReidbenchError(f"{shown(out)}: cannot be written: {error.strerror}") from None
    return [
        f"{out / WEIGHTS}: {len(state)} tensors",
        f"{out / CONFIG}: the network; `backbone: {{use: folder, path: {out}}}` reads it",
        f"{out / CARD}: the model card" + ("" if licence else "; it says that no licence is stated: give --license"),
    ]


def _described(embedder: Embedder, found: Lineage, registry: Registry, out: Path, redact: Redact) -> NetworkFolder:
    """Return the description of an embedder, with backbones that name no weights and no paths."""
    name = type(embedder).__name__
    if embedder.modalities:
        raise ReidbenchError(f"{name} depends on the modality, which a folder does not support; use --format onnx")
    spec = {word: value for word, value in json.loads(json.dumps(embedder.spec)).items() if word != "preprocess"}
    backbones = {word: _plain(registry, value["backbone"]) for word, value in spec.items() if is_backbone(value)}
    if not backbones:
        raise ReidbenchError(f"{name} has no backbone, so it has no weights to export")
    artifact, (kind, use) = found.steps[-1], _component_of(embedder, found, registry)
    text = json.dumps([{word: value for word, value in spec.items() if word not in backbones}, backbones])
    if redact(text) != text:
        raise ReidbenchError(f"{name} contains a path of this machine, so another one could not rebuild it")
    first = next(iter(backbones.values()))
    stage = {"key": artifact.key, "label": redact(artifact.label)}
    return NetworkFolder(
        out,
        class_name(type(embedder)),
        (kind, use),
        registry.source[kind, use],
        spec | {word: {"backbone": one} for word, one in backbones.items()},
        json.loads(json.dumps(embedder.preprocess.described())),
        capabilities_of(registry, first),
        labels_behind(registry, found),
        {"reidbench": __version__, "stage": stage},
    )


def _component_of(embedder: Embedder, found: Lineage, registry: Registry) -> tuple[str, str]:
    """Return kind and name of the last component whose plugin has the embedder's class; the last one for a class of
    reidbench.

    An adapter may return the embedder that a fine-tuner of another plugin made.
    """
    steps = [(OF_STAGE[stage["kind"]].component, stage["use"]) for stage in map(_stage_of, reversed(found.steps))]
    package = type(embedder).__module__.partition(".")[0]
    for kind, name in steps:
        component = registry.get(kind, name)
        plugin = registry.plugins[registry.source[kind, component.name]]
        if package in ("reidbench", plugin.module.partition(".")[0]):
            return kind, name
    return steps[0]


def _stage_of(artifact: Artifact) -> Mapping[str, Any]:
    stage: Mapping[str, Any] = artifact.need("stage")
    return stage


def _plain(registry: Registry, described: Mapping[str, Any]) -> dict[str, Any]:
    params = registry.get("backbone", described["use"]).params
    plain = {**described["params"], **without_weights(params)}
    return {"use": described["use"], "params": plain, "image_size": list(described["image_size"])}


def _require_same(embedder: Embedder, folder: Path, registry: Registry) -> int:
    """Raise ReidbenchError unless the folder gives the same features, bit for bit. Returns their length."""
    import torch

    size = embedder.preprocess.pictures
    again = rebuilt_network(registry, read_network(folder), size).eval()
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, features = embedder.cpu().eval()(images), again(images)
    if not torch.equal(expected, features):
        raise ReidbenchError(
            f"{type(embedder).__name__} cannot be exported: the network that its class, arguments and tensors rebuild "
            "gives other features"
        )
    return int(features.shape[1])
