"""Makes an embedder from the network of an ONNX file, after checking its image size, filter and pixel statistics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reidbench import FinetuneContext
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training import Preprocess

from .embedder import OnnxEmbedder
from .network import Network, read
from .params import OnnxParams

METADATA = "reidbench.preprocess"  # written by `reidbench export`
KNOWN = ("size", "mean", "std", "resize")


def finetune(ctx: FinetuneContext[OnnxParams]) -> OnnxEmbedder:
    """Return the unchanged network; nothing is trained.

    Raises ReidbenchError for an unsuitable file, for an image size or filter that differs from the network's, and if
    pixel mean or standard deviation are neither in the metadata nor in the parameters.
    """
    where = shown(ctx.params.file.name)
    network = read(ctx.params.file)
    return OnnxEmbedder(_preprocess(ctx, network, where), network.content)


def _preprocess(ctx: FinetuneContext[OnnxParams], network: Network, where: str) -> Preprocess:
    told = _metadata(network, where)
    size = ImageSize.given(ctx.image_size)
    _require_size(size, tuple(told["size"]) if "size" in told else network.size, where)
    _require_filter(size, told.get("resize"), where)
    mean, std = (_said(name, getattr(ctx.params, name), told, where) for name in ("mean", "std"))
    return Preprocess(size, mean, std)


def _said(name: str, given: Sequence[float] | None, told: dict[str, Any], where: str) -> Sequence[float]:
    found = told.get(name) if given is None else given
    if found is None:
        raise ReidbenchError(f"{where} has no pixel {name} in its metadata; set `{name}: [red, green, blue]`")
    return found


def _metadata(network: Network, where: str) -> dict[str, Any]:
    """Return the file's metadata on its images; {} if it has none."""
    text = network.metadata.get(METADATA, "{}")
    try:
        told = {name: value for name, value in dict(json.loads(text)).items() if name in KNOWN}
        Preprocess(**{"size": (1, 1), **told})
        lengths = {name: [float(number) for number in told[name]] for name in ("mean", "std") if name in told}
    except (ValueError, TypeError) as error:
        raise ReidbenchError(f"{where}: metadata {METADATA} cannot be read: {error}") from None
    if any(len(numbers) != 3 for numbers in lengths.values()) or len(told.get("size", (1, 1))) != 2:
        raise ReidbenchError(f"{where}: metadata {METADATA} must have three numbers in mean and std, and two in size")
    return told


def _require_size(size: ImageSize, own: tuple[int | None, ...], where: str) -> None:
    if any(needed not in (None, given) for needed, given in zip(own, size, strict=True)):
        height, width = (needed or given for needed, given in zip(own, size, strict=True))
        raise ReidbenchError(
            f"{where} needs images of {height}x{width}, but the step has {size[0]}x{size[1]}; "
            f"set `image_size: [{height}, {width}]`"
        )


def _require_filter(size: ImageSize, own: str | None, where: str) -> None:
    if own not in (None, size.resize_test):
        raise ReidbenchError(
            f"{where} needs images resized by the filter {own}, but the step has {size.resize_test}; "
            f"set `resize_test: {own}`"
        )
