"""Networks of a store: find by key, load, export for other programs."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidbench import __version__
from reidbench.errors import ReidbenchError, StoreError
from reidbench.matrix.kinds import OF_STAGE, TRAINED
from reidbench.registry.plugins import Registry, one_line
from reidbench.stages.networks import saved_backbone, saved_embedder
from reidbench.store.artifact import Artifact
from reidbench.store.artifacts import Store
from reidbench.store.several import joined

from .places import written

if TYPE_CHECKING:
    from reidbench.training import Embedder

TOLERANCE = 1e-4  # largest difference between exported network and torch, relative to the largest feature


def find(store: Store, key: str) -> Artifact:
    """Return the artifact whose key starts with `key`. Raises StoreError unless exactly one does."""
    found = sorted(name for name in store.keys() if name.startswith(key))  # noqa: SIM118 - a method, not a mapping
    if not key or len(found) != 1:
        if found:
            raise StoreError(
                f"key {key!r} is ambiguous: {len(found)} keys in the store {joined(store)} start with it: "
                f"{', '.join(found[:3])}; give more characters"
            )
        raise StoreError(
            f"unknown key {key!r}: no key in the store {joined(store)} starts with it; `reidbench table FILE --format "
            "json` lists the keys"
        )
    return store.read(found[0])


@dataclass(frozen=True)
class Member:
    """A trained network. `flip` averages the features of an image and its mirror image."""

    artifact: Artifact
    flip: bool = False

    @property
    def name(self) -> str:
        """Label and key of the stage that trained the network."""
        return f"{self.artifact.label} ({self.artifact.key})"


def members_of(store: Store, key: str) -> list[Member]:
    """Return the trained networks of a key: of a network, features or a result; several for an ensemble.

    Raises StoreError if the artifact has no network.
    """
    return _members(store, find(store, key), frozenset(), flip=False)


def _members(store: Store, artifact: Artifact, passed: frozenset[str], *, flip: bool) -> list[Member]:
    kind = artifact.need("stage", "kind")
    if kind in TRAINED:
        return [Member(artifact, flip)]
    parents = [parent for _, parent in artifact.need("stage", "parents")]
    passed |= {artifact.key}
    if passed.intersection(parents):
        raise StoreError(f"{artifact.key} has the parent {parents[0]}, which depends on it; the store is corrupt")
    if kind not in ("embed", "evaluate") or not parents:
        raise StoreError(f"{artifact.key} is the artifact of a stage {kind!r}, which has no network")
    if kind == "embed":
        params = artifact.manifest["stage"].get("params")
        flip = isinstance(params, dict) and params.get("flip") is True
    return [one for parent in parents for one in _members(store, _parent(store, parent), passed, flip=flip)]


def only_member(members: Sequence[Member], name: str) -> Artifact:
    """Return the only network; `name` is the request, for the error. Raises StoreError for an ensemble."""
    if len(members) > 1:
        keys = ", ".join(member.artifact.key for member in members)
        raise StoreError(f"{name} is an ensemble; name one of its members: {keys}")
    return members[0].artifact


def network_of(store: Store, key: str) -> Artifact:
    """Return the only trained network of a key. Raises StoreError if it has none, or for an ensemble."""
    return only_member(members_of(store, key), key)


def _parent(store: Store, key: str) -> Artifact:
    try:
        return store.read(key)
    except KeyError:
        raise StoreError(f"{key}, on which the result depends, is no longer in {joined(store)}") from None


def load(store: Store, artifact: Artifact, registry: Registry) -> Embedder:
    """Return the network of an artifact in evaluation mode. A pre-trained backbone gives its pooled vector.

    Raises ReidbenchError for an external program, which has no network.
    """
    from reidbench.training import BackboneEmbedder, Preprocess, SplitEmbedder

    if OF_STAGE[artifact.need("stage", "kind")].leaves == "backbone":
        backbone = saved_backbone(registry, artifact.path)
        size = backbone.spec["image_size"]
        return BackboneEmbedder(backbone, Preprocess(size, backbone.mean, backbone.std)).eval()
    embedder: Embedder = saved_embedder(registry, artifact.path)
    if isinstance(embedder, SplitEmbedder):
        raise ReidbenchError(
            f"{artifact.label} ({artifact.key}) is an external program without a network; run it on the images"
        )
    return embedder.eval()


# ---------------------------------------------------------------------- export
def export(embedder: Embedder, artifact: Artifact, form: str, out: Path, modality: str | None = None) -> list[str]:
    """Write a network as `onnx` or `safetensors`. Returns lines that describe the output.

    A network that takes modalities is exported for one of them. Raises ReidbenchError if it is not given, and for a
    `modality` that the network does not take.
    """
    facts: dict[str, Any] = {"key": artifact.key, "stage": artifact.label, "reidbench": __version__}
    if form != "onnx":
        return _safetensors(embedder, facts, out, modality)
    if modality or embedder.modalities:
        embedder = _of_one(embedder, modality)
        facts |= {"modality": modality}
    return _onnx(embedder, facts, out)


def _of_one(embedder: Embedder, modality: str | None) -> Embedder:
    """Return a network that takes modalities, restricted to one."""
    from reidbench.training import OneModality

    if modality is None:
        name, known = type(embedder).__name__, " or ".join(embedder.modalities)
        raise ReidbenchError(f"{name} depends on the modality; choose one with --modality ({known})")
    return OneModality(embedder, modality)


def _safetensors(embedder: Embedder, facts: dict[str, Any], out: Path, modality: str | None) -> list[str]:
    from reidbench.training import Backbone, write_weights

    if modality:
        raise ReidbenchError("--modality requires --format onnx; remove it")
    backbone = getattr(embedder, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise ReidbenchError(f"{type(embedder).__name__} has no backbone, so it has no weights to export")
    if out.suffix != ".safetensors":
        raise ReidbenchError(
            f"{out}: the extension must be .safetensors, since a .json file of the same name goes with it"
        )
    try:
        write_weights(out, backbone, **facts)
    except OSError as error:
        raise ReidbenchError(f"{out}: cannot be written: {error}") from None
    return [f"{out}: the backbone's weights", f"{out.with_suffix('.json')}: network, image size, pixel mean and std"]


def _onnx(embedder: Embedder, facts: dict[str, Any], out: Path) -> list[str]:
    """Export with torch's newer exporter or, if its model fails or differs, with the older one."""
    try:  # imported by name, since they are an extra
        onnx, runtime, _ = (importlib.import_module(name) for name in ("onnx", "onnxruntime", "onnxscript"))
    except ImportError as error:
        raise ReidbenchError(
            f"ONNX export requires the extra `onnx` ({error.name} is missing): pip install 'reidbench[onnx]'"
        ) from None
    size = tuple(embedder.preprocess.size)
    embedder.cpu().eval()
    reasons = []
    for dynamo in (True, False):
        try:
            with _silence():
                model = onnx.load_from_string(_exported(embedder, size, dynamo))
                session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
                difference = _difference(embedder, session, size)
        except Exception as error:  # noqa: BLE001 - exporter and runtime raise many types for unsupported operators
            cause = error.__cause__ or error
            reasons.append(one_line(f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"))
            continue
        if difference <= TOLERANCE:
            break
        reasons.append(f"its features differ by {difference:.1e} of the largest")
    else:
        raise ReidbenchError(f"{type(embedder).__name__} cannot be exported to ONNX: {' / '.join(reasons)}")
    for name, value in {**facts, "preprocess": json.dumps(_preprocess(embedder))}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"reidbench.{name}", str(value)
    with written(out) as beside:
        onnx.save(model, str(beside))
    return [
        f"{out}: images [batch, 3, {size[0]}, {size[1]}] to features; the metadata describe the preprocessing",
        f"largest difference from torch: {difference:.1e} of the largest feature",
    ]


def _exported(embedder: Embedder, size: tuple[int, ...], dynamo: bool) -> bytes:
    """Return the network as ONNX bytes, from the newer (`dynamo`) or the older exporter."""
    import torch

    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["features"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's deprecations; the exported model is checked
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},)
            program = torch.onnx.export(embedder, (images,), **names, dynamic_shapes=shapes, dynamo=True, verbose=False)
            assert program is not None
            return bytes(program.model_proto.SerializeToString())
        buffer: Any = io.BytesIO()  # torch accepts a buffer, though its annotation names only paths
        axes = {"images": {0: "batch"}, "features": {0: "batch"}}
        torch.onnx.export(embedder, (images,), buffer, **names, dynamic_axes=axes, dynamo=False, opset_version=17)
        return bytes(buffer.getvalue())


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress the output of exporter and runtime from C++, which print whole graphs for an unknown operator."""
    with contextlib.ExitStack() as undo, open(os.devnull, "wb") as nothing:  # noqa: PTH123 - dup2 needs a descriptor
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for descriptor in (1, 2):
            kept = os.dup(descriptor)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, descriptor)
            os.dup2(nothing.fileno(), descriptor)
        yield


def _preprocess(embedder: Embedder) -> dict[str, Any]:
    """Return the preprocessing from pixels to the network's input, for the metadata."""
    given = embedder.preprocess
    return {
        "size": list(given.size),
        "mean": list(given.mean),
        "std": list(given.std),
        "resize": given.resize_test,
        "input": "RGB, resized to size (height, width), (value / 255 - mean) / std, [batch, 3, height, width]",
    }


def _difference(embedder: Embedder, session: Any, size: tuple[int, ...]) -> float:
    """Return the largest difference of features of three other images, relative to the largest feature."""
    import torch

    images = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = embedder(images).numpy()
    (found,) = session.run(None, {"images": images.numpy()})
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
