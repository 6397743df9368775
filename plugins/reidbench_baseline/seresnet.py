"""ResNet-50 with squeeze-and-excitation blocks (Hu et al., CVPR 2018), through timm, with timm's state-dict names."""

from __future__ import annotations

from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training.networks.torchvision_compat import prepare

from .params import ResNetParams
from .resnet import TorchvisionResNet, load_file

prepare()
import timm  # noqa: E402 - imports torchvision, which may need the line above


class SeResNet(TorchvisionResNet):
    """timm's network without its classifier; stages are named as in torchvision, the first activation is not."""

    act1: nn.Module

    @property
    def stem(self) -> nn.Module:
        """Layers before the first stage."""
        return nn.Sequential(self.conv1, self.bn1, self.act1, self.maxpool)


def se_resnet50(params: ResNetParams, image_size: tuple[int, int]) -> SeResNet:
    """Return SE-ResNet-50, 2048-d. Raises ReidbenchError for weights by name, or if the file does not fit."""
    if params.weights is not None:
        raise ReidbenchError("se-resnet50 has no named weights; use weights_file with a checkpoint in timm's names")
    network = timm.create_model("seresnet50", pretrained=False, num_classes=0)
    backbone = SeResNet(network, 2048, params.last_stride)
    if params.weights_file is not None:
        load_file(backbone, params.weights_file)
    return backbone
