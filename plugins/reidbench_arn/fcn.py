"""ARN's fully convolutional encoders and decoder as in the paper: from a map to one vector and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

KERNEL = 7  # X of a ResNet-50 is 7x7 at 224x224


def kernel_of(size: Sequence[int]) -> tuple[int, int]:
    """Return the paper's 7x7, cut to a map of this height and width."""
    height, width = size
    return min(KERNEL, height), min(KERNEL, width)


def dropped(codes: torch.Tensor, rate: float, generator: torch.Generator | None) -> torch.Tensor:
    """Set a share `rate` of the codes to 0 and scale up the rest, with draws on the CPU."""
    kept = torch.rand(codes.shape, generator=generator) >= rate
    return codes * kept.to(codes.device) / (1 - rate)


class FcnEncoder(nn.Module):
    """Convolutions of 7x7, 1x1 and 1x1, each with batch norm and ReLU: conv6 to conv8 of FCN (Long et al., 2015).

    In training, once `draw_from` was called, the outputs of the first two layers are dropped out. From 2048 to 2048
    channels the first layer has 206 million weights.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Sequence[int]) -> None:
        super().__init__()
        height, width = kernel
        sizes = ((inputs, (height, width)), (outputs, (1, 1)), (outputs, (1, 1)))
        self.layers = nn.ModuleList(
            _layer(nn.Conv2d(before, outputs, size, bias=False), outputs) for before, size in sizes
        )
        self.rate = 0.0
        self.generator: torch.Generator | None = None

    def draw_from(self, generator: torch.Generator, rate: float) -> None:
        """Drop out a share `rate` with draws of `generator`, which is not part of the encoder's state."""
        self.generator, self.rate = generator, rate

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs, h, w] to [B, outputs, h - kernel + 1, w - kernel + 1], a single position for a 7x7 map."""
        for number, layer in enumerate(self.layers):
            features = layer(features)
            if self.training and self.rate and number < len(self.layers) - 1:
                features = dropped(features, self.rate, self.generator)
        return features


class FcnDecoder(nn.Module):
    """Transposed convolutions of 1x1, 1x1 and 7x7, each with batch norm and ReLU: pooled codes [B, D, 1, 1] to X.

    The last layer has the channels of X. A map larger than the kernel repeats the nearest value.
    """

    def __init__(self, inputs: int, wanted: Sequence[int]) -> None:
        super().__init__()
        channels, *self.size = wanted
        sizes = ((inputs, (1, 1)), (inputs, (1, 1)), (channels, kernel_of(self.size)))
        self.layers = nn.Sequential(
            *(_layer(nn.ConvTranspose2d(inputs, after, size, bias=False), after) for after, size in sizes)
        )

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        """Map [B, D, 1, 1] to [B, *wanted]."""
        rebuilt: torch.Tensor = self.layers(code)
        if list(rebuilt.shape[2:]) != self.size:
            rebuilt = F.interpolate(rebuilt, size=self.size, mode="nearest")
        return rebuilt


def _layer(convolution: nn.Conv2d | nn.ConvTranspose2d, channels: int) -> nn.Module:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
