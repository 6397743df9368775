"""Layers of structure encoder, decoder and discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

SLOPE = 0.2  # of every leaky ReLU


def convolution(inputs: int, outputs: int, size: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Return a `size` x `size` convolution with bias; reflection padding keeps the map (stride 1) or halves it."""
    reach = dilation * (size - 1) // 2
    return nn.Conv2d(
        inputs, outputs, size, stride, reach, dilation, padding_mode="reflect" if reach else "zeros"
    )  # fmt: skip


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU with slope 0.2."""
    return F.leaky_relu(x, SLOPE)


def instance_norm(
    x: torch.Tensor, gamma: torch.Tensor | None = None, beta: torch.Tensor | None = None, eps: float = 1e-5
) -> torch.Tensor:
    """Each map of x [B, C, h, w] at mean 0 and variance 1 over its own pixels, then gamma * x + beta, both [B, C].

    In float32 at any precision. Implemented as a batch norm over B x C single channels: one operation for
    normalisation, scale and shift.
    """
    batch, channels, height, width = x.shape
    if gamma is not None and beta is not None:
        gamma, beta = gamma.float().flatten(), beta.float().flatten()
    single = x.float().contiguous().view(1, batch * channels, height, width)
    return F.batch_norm(single, None, None, gamma, beta, True, 0.0, eps).view(batch, channels, height, width)


class Convolution(nn.Module):
    """Convolution, instance norm unless `norm` is False, leaky ReLU unless `active` is False."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int = 1, dilation: int = 1,
        norm: bool = True, active: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.convolution = convolution(inputs, outputs, size, stride=stride, dilation=dilation)
        self.norm = norm
        self.active = active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs, h, w] to [B, outputs, h, w], or to half the height and width with stride 2."""
        x = self.convolution(x)
        if self.norm:
            x = instance_norm(x)
        return leaky(x) if self.active else x


class Residual(nn.Module):
    """x + convolution(leaky(convolution(x))), both 3x3 with the same norm; no operation follows the sum."""

    def __init__(self, width: int, *, norm: bool = True) -> None:
        super().__init__()
        self.first = Convolution(width, width, 3, norm=norm)
        self.second = Convolution(width, width, 3, norm=norm, active=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, width, h, w] to the same shape."""
        return x + self.second(self.first(x))  # type: ignore[no-any-return]


class SampleNorm(nn.Module):
    """Each sample at mean 0 and deviation 1 over channels and pixels, then a scale and a shift per channel.

    The deviation is unbiased, and eps is added to it, not to the variance; the scale starts uniform in 0..1.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.rand(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, h, w] to the same shape, in float32."""
        x = x.float()
        deviation, mean = torch.std_mean(x, dim=(1, 2, 3), keepdim=True)
        # Scale and shift in one pass over the map instead of four.
        gamma = self.gamma.view(1, -1, 1, 1) / (deviation + self.eps)
        return torch.addcmul(self.beta.view(1, -1, 1, 1) - mean * gamma, x, gamma)


def initialise(network: nn.Module) -> None:
    """Set Kaiming normal weights (fan in, a = 0) and biases of 0 in every convolution and linear layer."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
