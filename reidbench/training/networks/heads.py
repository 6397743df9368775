"""Small networks on top of a backbone: projections, reductions, and batch drop-block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from .backbone import Backbone

Start = Literal["small", "fan-out"]  # distribution of a classifier's initial weights
CLASSIFIER_STD = 0.001  # small, so that the first cross-entropy is log C


def identity_heads(
    dims: Sequence[int],
    classes: int,
    *,
    bias: bool = False,
    generator: torch.Generator | None = None,
    start: Start = "small",
) -> list[nn.Linear]:
    """A classifier for vectors [B, D] per length D: weights of N(0, 0.001), from `generator` if given, bias 0.

    With `start` "fan-out" their variance is 2 / classes (He et al.), a deviation of 0.052 at 751 classes.
    """
    heads = [nn.Linear(dim, classes, bias=bias) for dim in dims]
    for head in heads:
        if start == "fan-out":
            nn.init.kaiming_normal_(head.weight, mode="fan_out", generator=generator)
        else:
            nn.init.normal_(head.weight, std=CLASSIFIER_STD, generator=generator)
        if bias:
            nn.init.zeros_(head.bias)
    return heads


class ProjectionHead(nn.Sequential):
    """MoCo's head: [B, inputs] to [B, outputs], with two layers (`mlp`, MoCo v2) or one (`linear`, MoCo).

    With `norm` a batch norm precedes the head and follows its first layer: without them, a small network with random
    initial weights stays at chance for thousands of steps.
    """

    def __init__(self, inputs: int, outputs: int, *, mlp: bool = True, norm: bool = False) -> None:
        layers: list[nn.Module] = [nn.BatchNorm1d(inputs)] if norm else []
        if mlp:
            layers.append(nn.Linear(inputs, inputs))
            layers += [nn.BatchNorm1d(inputs)] if norm else []
            layers.append(nn.ReLU())
        layers.append(nn.Linear(inputs, outputs))
        super().__init__(*layers)


class Encoder(nn.Module):
    """Backbone and projection head: images [B, 3, H, W] to unit vectors [B, D]. Only the backbone is kept."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors in float32, for any precision of the network."""
        return F.normalize(self.head(self.backbone(images).vector).float(), dim=1)


class Reduction(nn.Module):
    """1x1 convolution, batch norm and ReLU on pooled vectors: [B, inputs, 1, 1] to [B, outputs]."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 1, bias=bias)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_in")
        if bias:
            nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """[B, inputs, 1, 1] to [B, outputs], non-negative."""
        return F.relu(self.norm(self.convolution(pooled))).flatten(1)


class BatchDrop(nn.Module):
    """Set one rectangle to 0, the same for all images and channels of a batch, in training only (Dai et al., BDB).

    `height` and `width` are shares of the map; nothing is rescaled. `generator` draws the position.
    """

    def __init__(self, height: float, width: float) -> None:
        super().__init__()
        self.height = height
        self.width = width
        self.generator: torch.Generator | None = None

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] to the same shape; the identity in evaluation."""
        if not self.training:
            return maps
        rows, columns = maps.shape[2:]
        tall, wide = round(self.height * rows), round(self.width * columns)
        top = int(torch.randint(rows - tall + 1, (), generator=self.generator))
        left = int(torch.randint(columns - wide + 1, (), generator=self.generator))
        mask = torch.ones(rows, columns, dtype=maps.dtype, device=maps.device)
        mask[top : top + tall, left : left + wide] = 0
        return maps * mask
