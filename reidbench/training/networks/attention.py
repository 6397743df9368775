"""Non-local blocks between the layers of a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from reidbench.errors import ReidbenchError

from .backbone import Backbone, layout_of

TRIAL = (128, 64)  # size of the image that measures channels; leaves instance norms more than one position


class NonLocal(nn.Module):
    """Non-local block with a dot product (Wang et al., CVPR 2018, eq. 2, 4 and 6): maps [B, C, h, w] to the same shape.

    z = x + norm(W y), where y at each position is the mean over all N positions j of (theta(x) . phi(x_j)) g(x_j).
    theta, phi and g have `inner` channels, half of C by default. The norm's scale starts at 0, so the block starts as
    the identity.
    """

    def __init__(self, channels: int, inner: int | None = None) -> None:
        super().__init__()
        inner = max(1, channels // 2) if inner is None else inner
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Add to each position what the block gathers from all positions."""
        theta, phi, g = (layer(maps).flatten(2) for layer in (self.theta, self.phi, self.g))
        # (theta^T phi) g^T in the cheaper order: [inner, inner] for each image instead of [N, N].
        gathered = (g @ phi.transpose(1, 2) / phi.shape[2]) @ theta
        return maps + self.norm(self.out(gathered.unflatten(2, maps.shape[2:])))  # type: ignore[no-any-return]


class NonLocalStages(nn.Module):
    """Non-local blocks for the stages of a backbone, which has the capability "stages" and is not part of this module.

    `counts` has a number for each stage: a non-local block follows each of its last layers of that number. A stage that
    is a single layer, or has fewer layers, has a block after each. Raises ReidbenchError if `counts` does not fit.
    """

    def __init__(self, backbone: Backbone, counts: Sequence[int], inner: int | None = None) -> None:
        super().__init__()
        stages = _stages(backbone)
        if len(counts) != len(stages):
            raise ReidbenchError(
                f"non_local has {len(counts)} numbers, but the backbone has {len(stages)} stages: give one for each"
            )
        widths = _widths(backbone)
        self.blocks = nn.ModuleList(
            nn.ModuleList(NonLocal(width, inner) for _ in range(min(count, len(_layers(stage)))))
            for stage, width, count in zip(stages, widths, counts, strict=True)
        )
        self.to(memory_format=layout_of(backbone))  # type: ignore[call-overload]

    def forward(self, backbone: Backbone, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images [B, 3, H, W] to the map [B, C, h, w] of the backbone with the blocks."""
        x = cast(nn.Module, backbone.stem)(images)
        for stage, blocks in zip(_stages(backbone), self.blocks, strict=True):
            layers, followed = _layers(stage), list(cast(nn.ModuleList, blocks))
            for layer in layers[: len(layers) - len(followed)]:
                x = layer(x)
            for layer, block in zip(layers[len(layers) - len(followed) :], followed, strict=True):
                x = block(layer(x))
        return cast(torch.Tensor, x)


def _stages(backbone: Backbone) -> list[nn.Module]:
    return list(backbone.stages)  # type: ignore[arg-type]


def _layers(stage: nn.Module) -> list[nn.Module]:
    return list(stage) if isinstance(stage, nn.Sequential) else [stage]


@torch.no_grad()
def _widths(backbone: Backbone) -> list[int]:
    """Return the channels after each stage, measured on one black image."""
    training, widths = backbone.training, []
    backbone.eval()
    x = cast(nn.Module, backbone.stem)(torch.zeros(1, 3, *TRIAL).to(next(backbone.parameters())))
    for stage in _stages(backbone):
        x = stage(x)
        widths.append(x.shape[1])
    backbone.train(training)
    return widths
