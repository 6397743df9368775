"""ARN's embedder E_C(E_I(x)): E_C is the backbone's last stage, or a block on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from reidbench import AdaptContext
from reidbench.training import Backbone, BackboneEmbedder, BNNeck, Embedder, Preprocess, StridedPointwise, seeded
from reidbench.training.networks.backbone import layout_of

from .fcn import FcnEncoder, kernel_of
from .params import ArnParams


class Codes(NamedTuple):
    """E_I's map X [B, C, h, w], the shared code as a map [B, D, h', w'] and as the feature e_c [B, D]."""

    features: torch.Tensor
    map: torch.Tensor
    vector: torch.Tensor


class ResidualEncoder(nn.Module):
    """Encoder of a map: two 3x3 convolutions with batch norm and a 1x1 shortcut, the first with stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(StridedPointwise(inputs, outputs, 2), nn.BatchNorm2d(outputs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs, h, w] to [B, outputs, ceil(h / 2), ceil(w / 2)]."""
        return F.relu(self.body(features) + self.shortcut(features))


class StageEmbedder(BackboneEmbedder):
    """E_I is the backbone without its last stage, E_C that stage: initially identical to the given network."""

    backbone: Backbone

    @property
    def shared(self) -> nn.Module:
        """E_C."""
        return _stages(self.backbone)[-1]

    @property
    def image_modules(self) -> Sequence[nn.Module]:
        """E_I."""
        stem: nn.Module = self.backbone.stem  # type: ignore[assignment]
        return [stem, *_stages(self.backbone)[:-1]]

    def codes(self, images: torch.Tensor) -> Codes:
        """Return X, the shared map and e_c of images [B, 3, H, W]."""
        seen: list[torch.Tensor] = []
        # A hook records the input of the last stage; the backbone's own forward also pools.
        handle = self.shared.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        try:
            features = self.backbone(images)
        finally:
            handle.remove()
        return Codes(seen[0], features.map, self.neck(self.pooled(features)))


class WholeEmbedder(Embedder):
    """E_I is the whole backbone, E_C an encoder on its map; e_c [B, dim] is averaged over positions.

    E_C is a residual block or, with `kernel` (height, width), the paper's convolutions, the first of that size.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess | dict[str, Any],
        dim: int,
        neck: bool = False,
        kernel: Sequence[int] | None = None,
    ) -> None:
        super().__init__(backbone=backbone, preprocess=preprocess, dim=dim, neck=neck, kernel=kernel)
        self.backbone = backbone
        self.shared: nn.Module = (
            FcnEncoder(backbone.dim, dim, kernel) if kernel is not None else ResidualEncoder(backbone.dim, dim)
        )
        self.shared.to(memory_format=layout_of(backbone))  # type: ignore[call-overload]
        self.neck = BNNeck(dim) if neck else nn.Identity()

    @property
    def image_modules(self) -> Sequence[nn.Module]:
        """E_I."""
        return [self.backbone]

    def codes(self, images: torch.Tensor) -> Codes:
        """Return X, the shared map and e_c of images [B, 3, H, W]."""
        features = self.backbone(images).map
        code = self.shared(features)
        return Codes(features, code, self.neck(code.mean((2, 3))))

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        """Map normalised images to e_c [B, dim]."""
        return self.codes(images).vector


def _stages(backbone: Backbone) -> list[nn.Module]:
    """Return the stages of a backbone with the trait "stages": a list of modules, or a ModuleList."""
    return list(backbone.stages)  # type: ignore[arg-type]


ArnEmbedder = StageEmbedder | WholeEmbedder


def starting_embedder(ctx: AdaptContext[ArnParams]) -> ArnEmbedder:
    """Return the network to adapt: the start's backbone and pooling, and its neck if it has one and `neck` is set."""
    params = ctx.params
    start = ctx.start if isinstance(ctx.start, BackboneEmbedder) else None
    backbone = start.backbone if start is not None else ctx.backbone()
    preprocess = Preprocess(ctx.image_size, backbone.mean, backbone.std)
    if params.split == "whole":
        kernel = kernel_of(_map_size(backbone, preprocess)) if params.encoder == "fcn" else None
        with seeded(ctx.seed, "shared encoder"):
            return WholeEmbedder(backbone, preprocess, params.dim or backbone.dim, params.neck, kernel)
    embedder = StageEmbedder(backbone, preprocess, params.neck, start.pool_name if start is not None else "backbone")
    if start is not None:
        embedder.pool = start.pool
    if params.neck and start is not None and isinstance(start.neck, BNNeck):
        embedder.neck = start.neck
    return embedder


@torch.no_grad()
def _map_size(backbone: Backbone, preprocess: Preprocess) -> tuple[int, int]:
    """Return height and width of the backbone's map, measured with one black image."""
    training = backbone.training
    height, width = backbone.eval()(torch.zeros(1, 3, *preprocess.size)).map.shape[2:]
    backbone.train(training)
    return height, width
