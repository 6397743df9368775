"""torchreid network as a backbone."""

from __future__ import annotations

import difflib
import importlib
import re
from typing import Any

import torch

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training import Backbone, Features, load_weights, read_state

from .params import TorchreidParams

CLASSIFIER = re.compile(r"(^|\.)classifier\w*\.")  # in the names of tensors; PCB has one classifier per part
KNOWN = re.compile(r"'([\w.]+)'")


class TorchreidBackbone(Backbone):
    """torchreid network. Tensors have its names, prefixed with `network.`.

    In evaluation the vector is the network's output; in training it is the vector that torchreid passes to its triplet
    loss. The map is the vector in a single cell.
    """

    def __init__(self, network: Any, dim: int) -> None:
        super().__init__()
        self.network = network
        self.dim = dim

    def forward(self, images: torch.Tensor) -> Features:
        """Map images [B, 3, H, W] to Features. Raises ReidbenchError in training if there is no single vector."""
        answer = self.network(images)
        vector = answer[-1] if isinstance(answer, tuple) else answer
        if not isinstance(vector, torch.Tensor) or vector.shape != (len(images), self.dim):
            name = type(self.network).__name__
            raise ReidbenchError(
                f"torchreid's {name} cannot be trained here; use it without training (`finetune: none`)"
            )
        return Features(vector[:, :, None, None], vector)


def build(params: TorchreidParams, image_size: tuple[int, int]) -> TorchreidBackbone:
    """Return the network for this image size.

    Raises ReidbenchError without the package, for an unknown name, for a size that the network does not accept, and for
    a file that lacks one of its tensors.
    """
    network = _network(params.model)
    if params.weights_file is not None:
        theirs = {name: one for name, one in read_state(params.weights_file).items() if not CLASSIFIER.search(name)}
        own = {name: one for name, one in network.state_dict().items() if CLASSIFIER.search(name)}  # stays unchanged
        load_weights(network, theirs | own, where=shown(params.weights_file.name), exactly=True)
    return TorchreidBackbone(network, _dim(network, params.model, image_size))


def _network(name: str) -> Any:
    from reidbench.training.networks import torchvision_compat  # noqa: F401 - before torchreid

    try:
        models = importlib.import_module("torchreid").models
    except ImportError as error:
        raise ReidbenchError(
            f"torchreid's networks need the extra ({error.name} is missing): pip install 'reidbench[torchreid]'; "
            "osnet-x1-0 and osnet-x0-25 read torchreid's files without it"
        ) from None
    try:
        return models.build_model(name, num_classes=1, loss="triplet", pretrained=False, use_gpu=False)
    except KeyError as error:
        near = difflib.get_close_matches(name, KNOWN.findall(str(error)), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ReidbenchError(f"torchreid has no model {shown(name)}{hint}") from None


def _dim(network: Any, name: str, size: tuple[int, int]) -> int:
    """Return the length of the vector, found by embedding one image."""
    training = network.training
    try:
        with torch.no_grad():
            vector = network.eval()(torch.zeros(1, 3, *size))
    except (RuntimeError, AssertionError, ValueError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ReidbenchError(
            f"torchreid's {name} does not accept images of {size[0]}x{size[1]}: {shown(why)[:200]}; set another "
            "`image_size`"
        ) from None
    network.train(training)
    return int(vector.shape[1])
