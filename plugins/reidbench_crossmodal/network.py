"""A backbone with separate early layers for each modality, and an embedder around it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, BNNeck, Embedder, Preprocess
from reidbench.training.networks.pooling import pooling

Numbers = torch.Tensor | int


@dataclass
class Route:
    """Copy that each image of a batch passes through: numbers [B], or one for all. Set before each forward pass."""

    numbers: Numbers = 0


class Apart(nn.Module):
    """A copy of a layer for each modality, initially equal. Each image passes through its modality's copy.

    A batch norm therefore sees only the images of its modality.
    """

    def __init__(self, layer: nn.Module, count: int, route: Route) -> None:
        super().__init__()
        self.copies = nn.ModuleList([layer, *(copy.deepcopy(layer) for _ in range(count - 1))])
        self.route = route

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [B, ...] through the copies, in the order of the images."""
        numbers = self.route.numbers
        if isinstance(numbers, int):
            return self.copies[numbers](images)  # type: ignore[no-any-return]
        places = [torch.nonzero(numbers == number)[:, 0] for number in range(len(self.copies))]
        parts = [layer(images[rows]) for layer, rows in zip(self.copies, places, strict=True) if len(rows)]
        return torch.cat(parts)[torch.cat(places).argsort()]


def part_early_layers(backbone: Backbone, shared_from: int, count: int, route: Route) -> None:
    """Replace each layer with weights before stage `shared_from`, counted from 1, with an Apart, in place.

    Stage 0 is the stem. Raises ReidbenchError for a backbone with fewer stages.
    """
    stages: list[nn.Module] = list(backbone.stages)  # type: ignore[arg-type]
    if shared_from > len(stages):
        raise ReidbenchError(f"shared_from {shared_from} is too large: the backbone has {len(stages)} stages")
    for early in [backbone.stem, *stages[: shared_from - 1]]:
        for layer in _registered(backbone, early):  # type: ignore[arg-type]
            _replace(backbone, layer, Apart(layer, count, route))


def _registered(backbone: Backbone, module: nn.Module) -> Iterator[nn.Module]:
    """Yield a module with weights if the backbone names it, otherwise its layers (a stem built on each call)."""
    if not any(True for _ in module.state_dict()):
        return
    if any(module is known for known in backbone.modules()):
        yield module
        return
    for child in module.children():
        yield from _registered(backbone, child)


def _replace(backbone: Backbone, old: nn.Module, new: nn.Module) -> None:
    for name in [name for name, module in backbone.named_modules() if module is old]:
        parent, _, leaf = name.rpartition(".")
        backbone.get_submodule(parent)._modules[leaf] = new


class TwoStreamEmbedder(Embedder):
    """Feature after a BNNeck; the stem, and stages before `shared_from`, are separate for each modality.

    `modalities` are the modalities of the training, in alphabetical order.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        modalities: Sequence[str],
        shared_from: int = 1,
        pool: str = "backbone",
    ) -> None:
        words = {"modalities": list(modalities), "shared_from": shared_from, "pool": pool}
        super().__init__(backbone=backbone, preprocess=preprocess, **words)
        self.modalities = tuple(modalities)
        self.route = Route()
        part_early_layers(backbone, shared_from, len(self.modalities), self.route)
        # Not named `backbone`: a step that continues from it would not provide the modality.
        self.streams = backbone
        self.pool = pooling(pool)
        self.neck = BNNeck(backbone.dim)

    def before_neck(self, images: torch.Tensor, modalities: Numbers) -> torch.Tensor:
        """Map normalised images and their indices in `modalities` to pooled vectors [B, dim] for the triplet loss."""
        self.route.numbers = modalities
        features = self.streams(images)
        vector: torch.Tensor = features.vector if self.pool is None else self.pool(features.map)
        return vector

    def forward(
        self, images: torch.Tensor, camids: torch.Tensor | None = None, modalities: Numbers | None = None
    ) -> torch.Tensor:
        """Map normalised images to features [B, dim]. Raises ReidbenchError if no modalities are given."""
        if modalities is None:
            raise ReidbenchError(
                f"{type(self).__name__} needs each image's modality ({' or '.join(self.modalities)}), but the step "
                "after it does not provide it"
            )
        return self.neck(self.before_neck(images, modalities))  # type: ignore[no-any-return]
