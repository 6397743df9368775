"""ResNet-50 with squeeze-and-excitation blocks (Hu et al., CVPR 2018), through timm, whose state-dict names it has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, Features
from reidbench.training.torchvision_compat import prepare

from .params import ResNetParams
from .resnet import _load, _read

prepare()
import timm  # noqa: E402 - it imports torchvision, which may need the line above


class SeResNet(Backbone):
    """timm's network without its classifier: images to a map of H/16 x W/16 (last stride 1) and its mean."""

    def __init__(self, network: nn.Module, dim: int, last_stride: int) -> None:
        super().__init__()
        for name, module in network.named_children():
            if name not in ("global_pool", "fc"):
                self.add_module(name, module)
        self.dim = dim
        if last_stride == 1:
            first = self.layer4[0]
            first.conv2.stride = first.downsample[0].stride = (1, 1)

    @property
    def stem(self) -> nn.Module:
        """Everything before the first stage."""
        return nn.Sequential(self.conv1, self.bn1, self.act1, self.maxpool)

    @property
    def stages(self) -> list[nn.Module]:
        """The four residual stages."""
        return [self.layer1, self.layer2, self.layer3, self.layer4]

    def forward(self, images: torch.Tensor) -> Features:
        """images [B, 3, H, W] to Features; global average pooling."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return Features(x, F.adaptive_avg_pool2d(x, 1).flatten(1))


def se_resnet50(params: ResNetParams, image_size: tuple[int, int]) -> SeResNet:
    """SE-ResNet-50, 2048-d. Raises ReidbenchError for weights by name, and for a file that does not fit."""
    if params.weights is not None:
        raise ReidbenchError("se-resnet50 has no weights by name here: give weights_file, with timm's names")
    network = timm.create_model("seresnet50", pretrained=False, num_classes=0)
    if params.weights_file is not None:
        _load(network, _read(params.weights_file), str(params.weights_file))
    return SeResNet(network, 2048, params.last_stride)
