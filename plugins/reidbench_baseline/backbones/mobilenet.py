"""MobileNetV2 (Sandler et al., CVPR 2018): torchvision's, with its state-dict names."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import Backbone, Features
from reidbench.training.networks.torchvision_compat import torchvision_models
from reidbench_baseline.resnet import load_chosen

from .params import MobileNetParams

LAST_STRIDED = 14  # index of the last inverted residual block with stride 2


class MobileNetV2(Backbone):
    """torchvision's network without its classifier: `features.0.0.weight` and so on, 1280 channels."""

    def __init__(self, features: nn.Sequential, last_stride: int) -> None:
        super().__init__()
        self.features = features
        self.dim = 1280
        block: Any = features[LAST_STRIDED]
        block.conv[1][0].stride = (last_stride, last_stride)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: torch.Tensor) -> Features:
        """Map images [B, 3, H, W] to a map [B, 1280, H/32, W/32], twice as large at last stride 1, and its mean."""
        maps = self.features(images)
        return Features(maps, F.adaptive_avg_pool2d(maps, 1).flatten(1))


def mobilenet_v2(params: MobileNetParams, image_size: tuple[int, int]) -> MobileNetV2:
    """Return MobileNetV2 of width 1. Raises ReidbenchError if weights are missing or do not fit."""
    network = MobileNetV2(torchvision_models().mobilenet_v2(weights=None).features, params.last_stride)
    load_chosen(network, "mobilenet_v2", params)
    return network
