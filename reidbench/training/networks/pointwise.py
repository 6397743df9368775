"""A strided 1x1 convolution that every processor computes right."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution [B, inputs, h, w] to [B, outputs, ceil(h / stride), ceil(w / stride)], without bias.

    It subsamples first and convolves with stride 1, which is the same sum. Torch's own strided form ends in oneDNN,
    whose weight gradient writes past its buffer in channels-last layout when there are few input channels (fewer
    than 8 with AVX2, fewer than 16 with AVX-512, oneDNN issue 6035): gradients are then some per cent wrong, or the
    process dies. Names of weights, and `stride`, are those of `nn.Conv2d`.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        down, across = self.stride
        return F.conv2d(input[..., ::down, ::across], self.weight)
