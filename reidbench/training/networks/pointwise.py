"""Strided 1x1 convolution with correct gradients on every processor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class StridedPointwise(nn.Conv2d):
    """1x1 convolution [B, inputs, h, w] to [B, outputs, ceil(h / stride), ceil(w / stride)], without bias.

    Subsamples first and convolves with stride 1, which is equivalent. Torch's own strided version uses oneDNN, whose
    weight gradient writes past its buffer in channels-last layout with few input channels (fewer than 8 with AVX2,
    fewer than 16 with AVX-512, oneDNN issue 6035): gradients are then some per cent wrong, or the process crashes.
    Names of weights, and `stride`, are those of `nn.Conv2d`.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        down, across = self.stride
        return F.conv2d(input[..., ::down, ::across], self.weight)
