"""Contracts of each kind of component, beyond those of all kinds. Every function raises Broken."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.components import Component, Params
from reidbench.data import Dataset
from reidbench.stages.networks import saved_backbone, saved_embedder

from .report import need
from .trial import Trial

CLOSE = 1e-4  # tolerance for an image's features in batches of different sizes, relative to the largest feature


def answer(kind: str, trial: Trial) -> None:
    """Check the result of a stage, unless the stage checks it itself, as for selections."""
    looks = {
        "pretrainer": _pretrained,
        "preparer": _prepared,
        "finetuner": _embedder,
        "adapter": _embedder,
        "evaluator": _metrics,
    }
    if kind in looks:
        looks[kind](trial)


def has_dropout(trial: Trial) -> bool:
    """Return whether a trained network has dropout or drop path, whose layers use only the global generator."""
    network = trial.embedder
    if network is None and (trial.folder / "backbone.json").is_file():
        network = saved_backbone(trial.inputs.registry, trial.folder)
    return network is not None and any("drop" in type(module).__name__.lower() for module in network.modules())


def _prepared(trial: Trial) -> None:
    need(any(path.is_file() for path in trial.folder.rglob("*")), "shapes: a preparer must write files to ctx.out")


def _metrics(trial: Trial) -> None:
    ((_, key),) = trial.stage.parents
    with np.load(trial.inputs.artifact(key).path / "features.npz") as arrays:
        queries = len(arrays["query_pids"])
    with np.load(trial.folder / "per_query.npz") as arrays:
        wrong = [name for name in arrays.files if len(arrays[name]) != queries]
    need(not wrong, f"shapes: per_query {', '.join(wrong)} must have one entry for each of {queries} queries")


def _pretrained(trial: Trial) -> None:
    backbone(saved_backbone(trial.inputs.registry, trial.folder), trial.spec.size)


def _embedder(trial: Trial) -> None:
    """Check features [B, D]: the same alone and in a batch, and the same from the saved and the returned embedder."""
    import torch

    from reidbench.training import SplitEmbedder

    rebuilt = saved_embedder(trial.inputs.registry, trial.folder).eval()
    if isinstance(rebuilt, SplitEmbedder):  # takes no batches of pixels
        return
    images = _images(tuple(trial.embedder.preprocess.size))
    cameras, words = torch.arange(len(images)) % 2, rebuilt.modalities
    more = [torch.arange(len(images)) // 2 % len(words)] if words else []  # both modalities with each camera
    with torch.no_grad():
        live = trial.embedder.cpu().eval()(images, cameras, *more)
        features = rebuilt(images, cameras, *more)
        shape = list(features.shape)
        need(len(shape) == 2 and shape[0] == len(images), f"shapes: features are {shape}, not [{len(images)}, D]")
        need(bool(features.isfinite().all()), "shapes: features are not finite")
        near = _near(live, features)
        need(
            near,
            "shapes: the embedder rebuilt from spec and weights gives features that differ from the returned one's",
        )
        given = zip(*(column.split(1) for column in (images, cameras, *more)), strict=True)
        alone = torch.cat([rebuilt(*one) for one in given])
        need(_near(alone, features), "shapes: in eval mode an image's features depend on the rest of its batch")
        if "cameras" not in trial.inputs.component.protocol_with(trial.inputs.params):
            blind = rebuilt(images, None, *more)
            need(_near(blind, features), "shapes: features depend on camids, but `protocol` lacks 'cameras'")


def backbone(network: Any, image_size: tuple[int, ...]) -> None:
    """Check for a map [B, C, h, w] and a vector [B, C] with C = dim, the same alone and in a batch."""
    import torch

    images = _images(image_size)
    network.eval()
    with torch.no_grad():
        out = network(images)
        alone = torch.cat([network(images[i : i + 1]).vector for i in range(len(images))])
    count, dim = len(images), network.dim
    shapes = list(out.map.shape), list(out.vector.shape)
    fits = len(shapes[0]) == 4 and shapes[0][:2] == [count, dim] and shapes[1] == [count, dim]
    need(fits, f"shapes: map {shapes[0]} and vector {shapes[1]} must be [{count}, {dim}, h, w] and [{count}, {dim}]")
    need(bool(out.vector.isfinite().all()), "shapes: features are not finite")
    need(_near(alone, out.vector), "shapes: in eval mode an image's features depend on the rest of its batch")


def capabilities(network: Any, words: frozenset[str]) -> None:
    """Check that a backbone has the capabilities that it declares."""
    from torch.nn.modules.batchnorm import _BatchNorm

    if "stages" in words:
        whole = hasattr(network, "stem") and hasattr(network, "stages")
        need(whole, "shapes: declares 'stages' but has no stem or no stages")
    if "bn" in words:
        norms = any(isinstance(module, _BatchNorm) for module in network.modules())
        need(norms, "shapes: declares 'bn' but has no batch norm")


def _images(size: tuple[int, ...]) -> Any:
    import torch

    return torch.randn(4, 3, *size, generator=torch.Generator().manual_seed(0))


def _near(one: Any, other: Any) -> bool:
    scale = float(other.abs().max()) or 1.0
    return one.shape == other.shape and float((one - other).abs().max()) <= CLOSE * scale


def dataset(data: Dataset) -> dict[str, str]:
    """Check parts, labels and images of a data set. Returns digests of its columns and images, by part."""
    need(isinstance(data, Dataset), f"shapes: must return a Dataset, not {type(data).__name__}")
    parts = data.parts()
    need(("query" in parts) == ("gallery" in parts), "shapes: has only one of query and gallery; give both or neither")
    need(any(len(split) for split in parts.values()), "shapes: has no images")
    found = {}
    for name, split in parts.items():
        need(len(set(split.paths)) == len(split), f"shapes: an image appears twice in {name}")
        need(int(split.pids.min(initial=0)) >= -1, f"shapes: a pid below -1 in {name}")
        need(int(split.camids.min(initial=0)) >= -1, f"shapes: a camid below -1 in {name}")
        if name == "query":
            need(bool((split.pids > 0).all()), "shapes: a query without an identity")
        columns = (split.paths, split.pids.tolist(), split.camids.tolist(), split.domains)
        pictures = [_picture(split.image(index)) for index in range(len(split))]
        found[name] = digest(repr((columns, pictures)))
    return found


def _picture(image: np.ndarray) -> str:
    fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    need(fits, f"shapes: an image is {image.dtype} {list(image.shape)}, not uint8 [height, width, 3]")
    return digest(image.tobytes())


def digest(content: str | bytes) -> str:
    """Return the SHA-256 of text or bytes."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def fingerprint(component: Component, params: Params, root: Path | None) -> str:
    """Return the data set's fingerprint. Raises Broken unless it is text and equal in two calls."""
    from reidbench.components import load_attribute

    function: Callable[..., object] = load_attribute(component.fingerprint)
    first, second = function(params, root), function(params, root)
    need(isinstance(first, str) and first == second, "determinism: two calls of its fingerprint give different results")
    return str(first)


def state_digest(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of each tensor of a network."""
    return {name: digest(tensor.contiguous().numpy().tobytes()) for name, tensor in state.items()}
