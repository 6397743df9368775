"""example-network: a small convolutional network."""

from __future__ import annotations

import torch
from torch import nn

from reidbench.training import Backbone, Features

from . import BackboneParams


class Network(Backbone):
    """Four strided convolutions with batch norm; the last one has 4 * width channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dim = 4 * width
        channels = (3, width, width, 2 * width, self.dim)
        self.layers = nn.Sequential(*map(_layer, channels[:-1], channels[1:]))

    def forward(self, images: torch.Tensor) -> Features:
        """Return a map [B, dim, H / 16, W / 16] and a vector [B, dim] of images [B, 3, H, W]."""
        found = self.layers(images)
        return Features(found, found.mean((2, 3)))


def _layer(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def build(params: BackboneParams, image_size: tuple[int, int]) -> Network:
    """Return the network with random weights, for images of any size. The harness has seeded torch."""
    return Network(params.width)
