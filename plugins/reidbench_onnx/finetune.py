"""The network of an ONNX file becomes an embedder, after all that could make its features wrong was looked at."""

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

METADATA = "reidbench.preprocess"  # what `reidbench export` writes
KNOWN = ("size", "mean", "std", "resize")


def finetune(ctx: FinetuneContext[OnnxParams]) -> OnnxEmbedder:
    """The network as it is; nothing is trained.

    Raises ReidbenchError for a file that is no such network, for pictures of another size or filter than the network
    was made for, and where nobody says the pixel mean and deviation.
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
        raise ReidbenchError(f"{where} does not say its pixel {name}: give `{name}: [red, green, blue]` beside it")
    return found


def _metadata(network: Network, where: str) -> dict[str, Any]:
    """What the file says of its pictures; {} where it says nothing."""
    text = network.metadata.get(METADATA, "{}")
    try:
        told = {name: value for name, value in dict(json.loads(text)).items() if name in KNOWN}
        Preprocess(**{"size": (1, 1), **told})
        lengths = {name: [float(number) for number in told[name]] for name in ("mean", "std") if name in told}
    except (ValueError, TypeError) as error:
        raise ReidbenchError(f"{where}: its metadata {METADATA} cannot be read: {error}") from None
    if any(len(numbers) != 3 for numbers in lengths.values()) or len(told.get("size", (1, 1))) != 2:
        raise ReidbenchError(f"{where}: its metadata {METADATA} must have three numbers of mean and std, two of size")
    return told


def _require_size(size: ImageSize, own: tuple[int | None, ...], where: str) -> None:
    if any(needed not in (None, given) for needed, given in zip(own, size, strict=True)):
        height, width = (needed or given for needed, given in zip(own, size, strict=True))
        raise ReidbenchError(
            f"{where} takes images of {height}x{width}, and the step has {size[0]}x{size[1]}: "
            f"write `image_size: [{height}, {width}]` beside it"
        )


def _require_filter(size: ImageSize, own: str | None, where: str) -> None:
    if own not in (None, size.resize_test):
        raise ReidbenchError(
            f"{where} takes pictures resized by the filter {own}, and the step has {size.resize_test}: "
            f"write `resize_test: {own}` beside it"
        )
