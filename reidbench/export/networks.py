"""Networks of a store: found by key, loaded, written for other programs."""

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

TOLERANCE = 1e-4  # of the largest feature: how far an exported network may be from torch's


def find(store: Store, key: str) -> Artifact:
    """The artifact whose key begins like that. Raises StoreError when there is none, or several."""
    found = sorted(name for name in store.keys() if name.startswith(key))  # noqa: SIM118 - a method, not a mapping
    if not key or len(found) != 1:
        several = f"{len(found)} artifacts begin with it: {', '.join(found[:3])}" if found else "no artifact has it"
        raise StoreError(f"key {key!r}: {several} (store: {joined(store)})")
    return store.read(found[0])


@dataclass(frozen=True)
class Member:
    """A trained network; with `flip` its features are means over an image and its mirror image."""

    artifact: Artifact
    flip: bool = False

    @property
    def name(self) -> str:
        """The stage that trained it, for a sentence."""
        return f"{self.artifact.label} ({self.artifact.key})"


def members_of(store: Store, key: str) -> list[Member]:
    """The trained networks of a key: its own, or those that features and results come from, several of an ensemble.

    Raises StoreError for what has none.
    """
    return _members(store, find(store, key), frozenset(), flip=False)


def _members(store: Store, artifact: Artifact, passed: frozenset[str], *, flip: bool) -> list[Member]:
    kind = artifact.need("stage", "kind")
    if kind in TRAINED:
        return [Member(artifact, flip)]
    parents = [parent for _, parent in artifact.need("stage", "parents")]
    passed |= {artifact.key}
    if passed.intersection(parents):
        raise StoreError(f"{artifact.key} names {parents[0]}, which was made from it: no run has written that")
    if kind not in ("embed", "evaluate") or not parents:
        raise StoreError(f"{artifact.key} is of a stage {kind!r}, which leaves no network")
    if kind == "embed":
        params = artifact.manifest["stage"].get("params")
        flip = isinstance(params, dict) and params.get("flip") is True
    return [one for parent in parents for one in _members(store, _parent(store, parent), passed, flip=flip)]


def only_member(members: Sequence[Member], name: str) -> Artifact:
    """The network of what has one; `name` is what was asked for. Raises StoreError for an ensemble."""
    if len(members) > 1:
        keys = ", ".join(member.artifact.key for member in members)
        raise StoreError(f"{name} is an ensemble; name one of its members: {keys}")
    return members[0].artifact


def network_of(store: Store, key: str) -> Artifact:
    """The one trained network of a key. Raises StoreError for what has none, and for an ensemble."""
    return only_member(members_of(store, key), key)


def _parent(store: Store, key: str) -> Artifact:
    try:
        return store.read(key)
    except KeyError:
        raise StoreError(f"{key}, which the result was made with, is no longer in {joined(store)}") from None


def load(store: Store, artifact: Artifact, registry: Registry) -> Embedder:
    """The network of an artifact, ready for use; a pre-trained backbone gives its pooled vector.

    Raises ReidbenchError for a row of another program, which leaves no network.
    """
    from reidbench.training import BackboneEmbedder, Preprocess, SplitEmbedder

    if OF_STAGE[artifact.need("stage", "kind")].leaves == "backbone":
        backbone = saved_backbone(registry, artifact.path)
        size = backbone.spec["image_size"]
        return BackboneEmbedder(backbone, Preprocess(size, backbone.mean, backbone.std)).eval()
    embedder: Embedder = saved_embedder(registry, artifact.path)
    if isinstance(embedder, SplitEmbedder):
        raise ReidbenchError(
            f"{artifact.label} ({artifact.key}) is a program, and no network: run that program on the pictures"
        )
    return embedder.eval()


# ---------------------------------------------------------------------- export
def export(embedder: Embedder, artifact: Artifact, form: str, out: Path, modality: str | None = None) -> list[str]:
    """Write a network as `onnx` or `safetensors`; sentences on what was written.

    A network that takes modalities is written for the images of one, which must be given. Raises ReidbenchError where
    it is not, and for a `modality` that the network does not take.
    """
    facts: dict[str, Any] = {"key": artifact.key, "stage": artifact.label, "reidbench": __version__}
    if form != "onnx":
        return _safetensors(embedder, facts, out, modality)
    if modality or embedder.modalities:
        embedder = _of_one(embedder, modality)
        facts |= {"modality": modality}
    return _onnx(embedder, facts, out)


def _of_one(embedder: Embedder, modality: str | None) -> Embedder:
    """A network that takes modalities, for the images of one."""
    from reidbench.training import OneModality

    if modality is None:
        name, known = type(embedder).__name__, " or ".join(embedder.modalities)
        raise ReidbenchError(f"{name} treats images by their modality: say for which with --modality ({known})")
    return OneModality(embedder, modality)


def _safetensors(embedder: Embedder, facts: dict[str, Any], out: Path, modality: str | None) -> list[str]:
    from reidbench.training import Backbone, write_weights

    if modality:
        raise ReidbenchError("--modality is for --format onnx; weights are written as they are")
    backbone = getattr(embedder, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise ReidbenchError(f"{type(embedder).__name__} has no backbone whose weights could be written")
    if out.suffix != ".safetensors":
        raise ReidbenchError(f"{out}: a file of weights must end in .safetensors, for its sidecar is named after it")
    try:
        write_weights(out, backbone, **facts)
    except OSError as error:
        raise ReidbenchError(f"{out}: cannot be written: {error}") from None
    return [f"{out}: the backbone's weights", f"{out.with_suffix('.json')}: network, image size, pixel mean and std"]


def _onnx(embedder: Embedder, facts: dict[str, Any], out: Path) -> list[str]:
    """Torch's newer exporter is tried first, then the older; the first answer that computes the same is written."""
    try:  # by name, for they are an extra
        onnx, runtime, _ = (importlib.import_module(name) for name in ("onnx", "onnxruntime", "onnxscript"))
    except ImportError as error:
        raise ReidbenchError(
            f"ONNX needs the extra `onnx` ({error.name} is missing): pip install 'reidbench[onnx]'"
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
        except Exception as error:  # noqa: BLE001 - exporter and runtime raise many kinds for what ONNX cannot say
            cause = error.__cause__ or error
            reasons.append(one_line(f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"))
            continue
        if difference <= TOLERANCE:
            break
        reasons.append(f"its features differ by {difference:.1e} of the largest")
    else:
        raise ReidbenchError(f"{type(embedder).__name__} cannot be said in ONNX for any batch: {' / '.join(reasons)}")
    for name, value in {**facts, "preprocess": json.dumps(_preprocess(embedder))}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"reidbench.{name}", str(value)
    with written(out) as beside:
        onnx.save(model, str(beside))
    return [
        f"{out}: images [batch, 3, {size[0]}, {size[1]}] to features; preprocessing stands in its metadata",
        f"largest difference to torch: {difference:.1e} of the largest feature",
    ]


def _exported(embedder: Embedder, size: tuple[int, ...], dynamo: bool) -> bytes:
    """The network as ONNX, by the newer (`dynamo`) or the older exporter."""
    import torch

    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["features"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch will change in itself; the answer is checked
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},)
            program = torch.onnx.export(embedder, (images,), **names, dynamic_shapes=shapes, dynamo=True, verbose=False)
            assert program is not None
            return bytes(program.model_proto.SerializeToString())
        buffer: Any = io.BytesIO()  # which torch takes, though its annotation names paths only
        axes = {"images": {0: "batch"}, "features": {0: "batch"}}
        torch.onnx.export(embedder, (images,), buffer, **names, dynamic_axes=axes, dynamo=False, opset_version=17)
        return bytes(buffer.getvalue())


@contextmanager
def _silence() -> Iterator[None]:
    """Hold back what the exporter and the runtime print from C++: whole graphs, where an operator is unknown."""
    with contextlib.ExitStack() as undo, open(os.devnull, "wb") as nothing:  # noqa: PTH123 - of one kind with dup2
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for descriptor in (1, 2):
            kept = os.dup(descriptor)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, descriptor)
            os.dup2(nothing.fileno(), descriptor)
        yield


def _preprocess(embedder: Embedder) -> dict[str, Any]:
    """Steps from pixels to the network's input, for readers of the metadata."""
    given = embedder.preprocess
    return {
        "size": list(given.size),
        "mean": list(given.mean),
        "std": list(given.std),
        "resize": given.resize_test,
        "input": "RGB, resized to size (height, width), (value / 255 - mean) / std, [batch, 3, height, width]",
    }


def _difference(embedder: Embedder, session: Any, size: tuple[int, ...]) -> float:
    """The largest difference of three new images' features, of the largest feature."""
    import torch

    images = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = embedder(images).numpy()
    (found,) = session.run(None, {"images": images.numpy()})
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
