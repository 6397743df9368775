"""Backbone of a folder's network, for training or, with the rest of the network, for `finetune: none`."""

from __future__ import annotations

from collections.abc import Callable

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.files.networkfolder import NetworkFolder, read_network
from reidbench.training import Backbone, Embedder

from .params import FolderParams

Rebuild = Callable[[NetworkFolder, tuple[int, int]], Embedder]


def build(params: FolderParams, image_size: tuple[int, int], rebuild: Rebuild) -> Backbone:
    """Return the backbone of the folder's network, with the whole network in `whole`.

    Raises ReidbenchError for a network that loaded plugins cannot rebuild, and for tensors that do not fit.
    """
    network = read_network(params.path)
    embedder = rebuild(network, image_size)
    backbone = getattr(embedder, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise ReidbenchError(f"{shown(params.path)}: {type(embedder).__name__} has no backbone to train")
    trained = tuple(network.preprocess["size"])
    if trained != tuple(image_size):
        sizes = ["x".join(map(str, size)) for size in (trained, image_size)]
        backbone.notes = (f"the network was trained at {sizes[0]} (height x width) and is used at {sizes[1]}",)
    backbone.whole = lambda: embedder
    return backbone
