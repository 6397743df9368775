"""gcl-weights: a first stage from a file, including its head, so that the memory has the length of its features."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from reidbench import FinetuneContext
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training import Backbone, Embedder, Preprocess, load_weights
from reidbench.training.weights.files import State, read_state, require_numbers
from reidbench.training.weights.fit import WRAPPERS, without_prefix

from ..params import GCLWeightsParams

NORMS = ("feat_bn", "bn")  # names of the final batch norm in the released networks


class HeadEmbedder(Embedder):
    """A backbone's pooled vector [B, C], a linear layer to `dim` unless that is 0, and a batch norm.

    `embedded` is the linear layer and `norm` the batch norm; their output is the test feature, not normalised.
    """

    def __init__(self, backbone: Backbone, preprocess: Preprocess | dict[str, Any], dim: int = 0) -> None:
        super().__init__(backbone=backbone, preprocess=preprocess, dim=dim)
        self.backbone = backbone
        self.embedded: nn.Module = nn.Linear(backbone.dim, dim) if dim else nn.Identity()
        self.norm = nn.BatchNorm1d(dim or backbone.dim)

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to features [B, dim], or [B, C] without a linear layer."""
        return self.norm(self.embedded(self.backbone(images).vector))  # type: ignore[no-any-return]


def finetune(ctx: FinetuneContext[GCLWeightsParams]) -> HeadEmbedder:
    """Return the recipe's backbone and the file's head, both with the weights of `file`, without training.

    Notes the backbone's tensors that are not in the file. Raises ReidbenchError for a file that is unsafe or of another
    backbone, and for a head that is missing, incomplete or of a different shape.
    """
    file = ctx.params.file
    where = shown(file)
    state = read_state(file)
    backbone = ctx.backbone()
    report = load_weights(backbone, state, where=str(file))
    for note in report.notes(shown(file.name)):
        ctx.note(note)
    head = head_of(state, where)
    dim = len(head["embedded.weight"]) if "embedded.weight" in head else 0
    embedder = HeadEmbedder(backbone, Preprocess(ctx.image_size, backbone.mean, backbone.std), dim)
    _load(embedder, head, where)
    ctx.log({"matched": len(report.matched), "missing": len(report.missing), "dim": dim or backbone.dim})
    return embedder


def head_of(state: State, where: str) -> State:
    """Return the tensors of `feat` and `feat_bn` or `bn`, renamed for a HeadEmbedder, or raise ReidbenchError."""
    short = {_bare(name): tensor for name, tensor in state.items()}
    norm = next((name for name in NORMS if f"{name}.running_mean" in short), None)
    if norm is None:
        raise ReidbenchError(
            f"{where}: the head is missing: the released networks end in a batch norm called {' or '.join(NORMS)}; "
            f"to load a backbone without head use `pretrain: {{use: weights, file: ...}}`"
        )
    theirs = {"feat": "embedded", norm: "norm"}
    parts = [(*name.rpartition("."), tensor) for name, tensor in short.items()]
    return {f"{theirs[part]}.{leaf}": tensor for part, _, leaf, tensor in parts if part in theirs}


def _bare(name: str) -> str:
    """Strip the prefixes of wrapper modules from a tensor's name."""
    while (shorter := without_prefix(name, WRAPPERS)) != name:
        name = shorter
    return name


def _load(embedder: HeadEmbedder, head: State, where: str) -> None:
    """Copy the head's tensors. Raises ReidbenchError, and changes nothing, unless all are present and fit."""
    parts = ("embedded.", "norm.")
    expected = {name: tensor for name, tensor in embedder.state_dict().items() if name.startswith(parts)}
    found = {name: tensor for name, tensor in head.items() if name in expected}
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in found:
            raise ReidbenchError(f"{where}: the head is incomplete: {name} is missing")
        if found[name].shape != tensor.shape:
            shapes = " and ".join("x".join(map(str, one.shape)) or "one number" for one in (found[name], tensor))
            raise ReidbenchError(f"{where}: the head does not fit this backbone: {name} is {shapes} here")
    require_numbers(where, found, expected)
    embedder.load_state_dict(found, strict=False)
