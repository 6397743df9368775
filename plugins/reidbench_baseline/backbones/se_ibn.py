"""SE-ResNet with IBN-a, used in re-ID competitions: squeeze and excitation (Hu et al., CVPR 2018) and IBN-a.

State-dict names are those of their checkpoints: torchvision's, `bn1.IN.*` and `bn1.BN.*`, `se.fc.0.weight` and
`se.fc.2.weight`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from reidbench.training.networks.torchvision_compat import torchvision_models
from reidbench_baseline.ibn import mix_norms
from reidbench_baseline.resnet import TorchvisionResNet, load_file

from .params import SeIbnParams

REDUCTION = 16  # channel reduction within the excitation

_resnet = torchvision_models().resnet


class _Excitation(nn.Module):
    """Weight for each channel from the means of all channels: two layers without biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // REDUCTION
        self.fc = nn.Sequential(
            nn.Linear(channels, inner, bias=False), nn.ReLU(), nn.Linear(inner, channels, bias=False), nn.Sigmoid()
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.fc(maps.mean((2, 3)))[:, :, None, None]  # type: ignore[no-any-return]


class _Bottleneck(_resnet.Bottleneck):  # type: ignore[misc, name-defined]
    """torchvision's bottleneck, with an excitation before the shortcut is added."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.se = _Excitation(self.bn3.num_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.se(self.bn3(self.conv3(y)))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))  # type: ignore[no-any-return]


def _build(blocks: list[int], params: SeIbnParams, image_size: tuple[int, int]) -> TorchvisionResNet:
    network = _resnet.ResNet(_Bottleneck, blocks)
    mix_norms(network)
    backbone = TorchvisionResNet(network, 2048, params.last_stride)
    if params.weights_file is not None:
        load_file(backbone, params.weights_file)
    return backbone


se_resnet50_ibn_a = partial(_build, [3, 4, 6, 3])
se_resnet101_ibn_a = partial(_build, [3, 4, 23, 3])
