"""D: judges patches of an image as real or generated, at several scales."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import DataError

from .layers import Convolution, Residual, convolution
from .params import GeneratorParams

SMALLEST = 5  # pixels of the smallest scale's shorter side: two halvings leave 2, the least for reflection padding


class Critic(nn.Module):
    """One scale: maps images [B, 3, h, w] to scores [B, 1, h/4, w/4], without norms."""

    def __init__(self, params: GeneratorParams) -> None:
        super().__init__()
        dim = params.critic_dim
        self.layers = nn.Sequential(
            Convolution(3, dim, 1, norm=False),
            Convolution(dim, dim, 3, norm=False),
            Convolution(dim, dim, 3, stride=2, norm=False),
            Convolution(dim, dim, 3, norm=False),
            Convolution(dim, 2 * dim, 3, stride=2, norm=False),
            *(Residual(2 * dim, norm=False) for _ in range(params.critic_blocks)),
            convolution(2 * dim, 1, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return unbounded scores."""
        return self.layers(images)  # type: ignore[no-any-return]


class Discriminator(nn.Module):
    """A critic for each scale; the next scale's image is a 3x3 average of this one's with stride 2.

    1,025,571 parameters at critic_dim 32 and three scales.
    """

    def __init__(self, params: GeneratorParams) -> None:
        super().__init__()
        self.critics = nn.ModuleList(Critic(params) for _ in range(params.critic_scales))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on CPUs

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return a map of scores for each scale, the finest first: [B, 1, H/4, W/4], [B, 1, H/8, W/8], ...

        Raises DataError for images that are too small for this number of scales.
        """
        _fit(len(self.critics), *images.shape[2:])
        maps = []
        for scale, critic in enumerate(self.critics):
            if scale:
                images = F.avg_pool2d(images, 3, 2, 1, count_include_pad=False)
            maps.append(critic(images))
        return maps


def _fit(scales: int, height: int, width: int) -> None:
    side, most = min(height, width), 0
    while side >= SMALLEST:
        side, most = (side + 1) // 2, most + 1
    if scales > most:
        raise DataError(
            f"critic_scales: {scales} do not fit {height}x{width} images, at most {most} do; lower critic_scales"
        )
