"""G: from a structure code and an appearance code to an image, by adaptive instance norm (Huang and Belongie, 2017)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import DataError

from .layers import SampleNorm, convolution, instance_norm, leaky
from .params import GeneratorParams

STRIPES = 4  # rows of the identity encoder's pooled map that form the appearance code

Style = tuple[torch.Tensor, torch.Tensor]  # gamma and beta, both [B, C]


class AdaIN(nn.Module):
    """Instance norm, then gamma * x + beta per sample and channel; gamma is used directly, not as 1 + gamma."""

    def forward(self, x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        """Map [B, C, h, w] to the same shape, in float32."""
        return instance_norm(x, gamma, beta)


class StyledResidual(nn.Module):
    """A residual block whose two norms get their scale and shift as inputs."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolution(width, width, 3) for _ in range(2))
        self.norms = nn.ModuleList(AdaIN() for _ in range(2))

    def forward(self, x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        """x [B, C, h, w]; gamma and beta [B, 2 C], of which the first half is for the first convolution."""
        gammas, betas = gamma.chunk(2, dim=1), beta.chunk(2, dim=1)
        y = leaky(self.norms[0](self.convolutions[0](x), gammas[0], betas[0]))
        return x + self.norms[1](self.convolutions[1](y), gammas[1], betas[1])  # type: ignore[no-any-return]


class Upsampling(nn.Module):
    """Double height and width by repetition, halve the channels by a 5x5 convolution, then sample norm, leaky ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = convolution(width, width // 2, 5)
        self.norm = SampleNorm(width // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, h, w] to [B, C/2, 2h, 2w]."""
        return leaky(self.norm(self.convolution(F.interpolate(x, scale_factor=2.0, mode="nearest"))))


class Decoder(nn.Module):
    """Map structure code [B, 8 dim, h, w] and appearance code [B, feat_dim] to images [B, 3, 4h, 4w], linear output.

    13,000,131 parameters at dim 16, mlp 512 and feat_dim 8192. Raises DataError if feat_dim is not divisible by the
    number of blocks.
    """

    def __init__(self, params: GeneratorParams, feat_dim: int) -> None:
        super().__init__()
        width, blocks = 8 * params.dim, params.blocks
        if feat_dim % STRIPES or feat_dim % blocks:
            raise DataError(
                f"an appearance code of {feat_dim} cannot be divided among {blocks} blocks: set another `blocks`"
            )
        self.form = params.slices
        self.blocks = nn.ModuleList(StyledResidual(width) for _ in range(blocks))
        share = feat_dim // blocks
        self.gammas = nn.ModuleList(_perceptron(share, params.mlp, 2 * width) for _ in range(blocks))
        self.betas = nn.ModuleList(_perceptron(share, params.mlp, 2 * width) for _ in range(blocks))
        self.up = nn.Sequential(Upsampling(width), Upsampling(width // 2))
        narrow = width // 4
        self.last = nn.Sequential(
            convolution(narrow, narrow, 3), nn.LeakyReLU(0.2),
            convolution(narrow, narrow, 3), nn.LeakyReLU(0.2),
            convolution(narrow, 3, 1),
        )  # fmt: skip

    def style(self, feat: torch.Tensor) -> list[Style]:
        """Return gamma and beta [B, 2 x 8 dim] of each block, from the appearance code only."""
        slices = deal(feat, len(self.blocks), self.form)
        return [(gamma(s), beta(s)) for gamma, beta, s in zip(self.gammas, self.betas, slices, strict=True)]

    def forward(self, code: torch.Tensor, feat: torch.Tensor) -> torch.Tensor:
        """Return images in the space of the embedder's mean and standard deviation, so not bounded."""
        x = code
        for block, (gamma, beta) in zip(self.blocks, self.style(feat), strict=True):
            x = block(x, gamma, beta)
        return self.last(self.up(x))  # type: ignore[no-any-return]


def deal(feat: torch.Tensor, blocks: int, form: Literal["code", "stripe"]) -> tuple[torch.Tensor, ...]:
    """Split the appearance code [B, 4 C], a flattened (C, 4) array, into `blocks` equal slices.

    `code`, as released: slice k holds channels kC/4 to (k+1)C/4 with all four stripes. `stripe`, a named deviation:
    slice k is stripe k with all channels (with four blocks).
    """
    if form == "stripe":
        feat = feat.reshape(len(feat), -1, STRIPES).transpose(1, 2).flatten(1)
    return feat.chunk(blocks, dim=1)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
        nn.Linear(hidden, outputs),
    )  # fmt: skip
