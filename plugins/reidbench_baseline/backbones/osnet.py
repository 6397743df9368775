"""OSNet (Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019).

Written from the paper; state-dict names are those of its checkpoints: `conv1.conv.*`, `conv2.0.conv2b.1.bn.*`,
`conv2.0.gate.fc1.*`, `fc.0.*`.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import Backbone, Features
from reidbench_baseline.resnet import load_file

from .params import OsNetParams

FEATURES = 512  # of the head
SCALES = 4  # streams of a block: 3x3, 5x5, 7x7 and 9x9 pixels
SMALLER = 4  # channel reduction within a block
GATE = 16  # channel reduction within the gate


class _Layer(nn.Module):
    """Convolution, batch norm, and a ReLU unless `linear`."""

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1, *, linear: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.linear = linear

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.bn(self.conv(maps))
        return maps if self.linear else F.relu(maps)


class _LightLayer(nn.Module):
    """The paper's Lite 3x3: a 1x1 convolution, a depthwise 3x3 one, then batch norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv2(self.conv1(maps))))


class _Gate(nn.Module):
    """Aggregation gate: a weight for each channel from its mean, with the same two layers for all streams."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // GATE, 1)
        self.fc2 = nn.Conv2d(channels // GATE, channels, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        means = F.adaptive_avg_pool2d(maps, 1)
        return maps * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


class _Block(nn.Module):
    """Residual block of four gated and summed streams of one to four light layers, between 1x1 convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = outputs // SMALLER
        self.conv1 = _Layer(inputs, inner)
        self.conv2a: nn.Module = _LightLayer(inner)
        self.conv2b, self.conv2c, self.conv2d = (
            nn.Sequential(*(_LightLayer(inner) for _ in range(depth))) for depth in range(2, SCALES + 1)
        )
        self.gate = _Gate(inner)
        self.conv3 = _Layer(inner, outputs, linear=True)
        self.downsample = _Layer(inputs, outputs, linear=True) if inputs != outputs else nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        inner = self.conv1(maps)
        streams = [self.gate(stream(inner)) for stream in (self.conv2a, self.conv2b, self.conv2c, self.conv2d)]
        joined = streams[0] + streams[1] + streams[2] + streams[3]
        return F.relu(self.conv3(joined) + self.downsample(maps))


def _stage(inputs: int, outputs: int, *, halve: bool) -> nn.Sequential:
    blocks: list[nn.Module] = [_Block(inputs, outputs), _Block(outputs, outputs)]
    if halve:
        blocks.append(nn.Sequential(_Layer(outputs, outputs), nn.AvgPool2d(2, 2)))
    return nn.Sequential(*blocks)


class OsNet(Backbone):
    """OSNet with 64, 256, 384, 512 channels in stem and three stages at width 1; maps of H/16 x W/16.

    With `head` the vector is the published feature of 512 numbers, and the map is that feature in a single cell.
    """

    def __init__(self, channels: tuple[int, int, int, int], head: bool) -> None:
        super().__init__()
        stem, second, third, fourth = channels
        self.conv1 = _Layer(3, stem, 7, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = _stage(stem, second, halve=True)
        self.conv3 = _stage(second, third, halve=True)
        self.conv4 = _stage(third, fourth, halve=False)
        self.conv5 = _Layer(fourth, fourth)
        self.fc: nn.Sequential | None = None
        if head:
            self.fc = nn.Sequential(nn.Linear(fourth, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU())
        self.dim = FEATURES if head else fourth
        self.apply(_start)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: torch.Tensor) -> Features:
        """Map images [B, 3, H, W] to Features."""
        maps = self.conv2(self.maxpool(self.conv1(images)))
        maps = self.conv5(self.conv4(self.conv3(maps)))
        vector = F.adaptive_avg_pool2d(maps, 1).flatten(1)
        if self.fc is None:
            return Features(maps, vector)
        vector = self.fc(vector)
        return Features(vector[:, :, None, None], vector)


def _start(module: nn.Module) -> None:
    """Initialise convolutions with variance 2 / (outputs x size), the linear layer with N(0, 0.01)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _build(channels: tuple[int, int, int, int], params: OsNetParams, image_size: tuple[int, int]) -> OsNet:
    network = OsNet(channels, params.head)
    if params.weights_file is not None:
        load_file(network, params.weights_file)
    return network


osnet_x1_0 = partial(_build, (64, 256, 384, 512))
osnet_x0_25 = partial(_build, (16, 64, 96, 128))
