"""ResNet-50 with instance norm and batch norm: IBN-a and IBN-b (Pan et al., "Two at Once", ECCV 2018).

State-dict names are torchvision's, with `bn1.IN.*` and `bn1.BN.*` in a, and `IN.*` in b, as in the official files.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from reidbench.training.networks.torchvision_compat import torchvision_models

from .resnet import TorchvisionResNet, load_file
from .stems import IBN
from .transformer_params import IbnParams

_resnet = torchvision_models().resnet


class _Bottleneck(_resnet.Bottleneck):  # type: ignore[misc, name-defined]
    """torchvision's bottleneck, with a slot for IBN-b's norm between the addition and the last ReLU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.IN: nn.Module = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        return self.relu(self.IN(y))  # type: ignore[no-any-return]


def mix_norms(network: Any) -> None:
    """Add IBN-a: instance norm on half of the channels of each block's first norm, in the first three stages."""
    for stage in (network.layer1, network.layer2, network.layer3):
        for block in stage:
            block.bn1 = IBN(block.bn1.num_features)


def resnet50_ibn(params: IbnParams, image_size: tuple[int, int]) -> TorchvisionResNet:
    """Return ResNet-50 with IBN-a or IBN-b, 2048-d.

    Raises ReidbenchError if `weights_file` cannot be read or does not fit.
    """
    network = _resnet.ResNet(_Bottleneck, [3, 4, 6, 3])
    if params.ibn == "a":
        mix_norms(network)
    else:
        network.bn1 = nn.InstanceNorm2d(network.bn1.num_features, affine=True)
        for stage in (network.layer1, network.layer2):
            stage[-1].IN = nn.InstanceNorm2d(stage[-1].bn3.num_features, affine=True)
    backbone = TorchvisionResNet(network, 2048, params.last_stride)
    if params.weights_file is not None:
        load_file(backbone, params.weights_file)
    return backbone
