"""StarGAN's networks (Choi et al., CVPR 2018), with cameras as domains: a generator and a two-headed discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import DataError


class _Residual(nn.Module):
    """Two 3x3 convolutions with instance norm and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(nn.Conv2d(channels, channels, 3, 1, 1, bias=False)),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.body(maps)  # type: ignore[no-any-return]


def _convolution(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    norm = nn.InstanceNorm2d(convolution.out_channels, affine=True)
    return [convolution, norm, nn.ReLU(inplace=True)]


class Generator(nn.Module):
    """Map images [B, 3, H, W] in -1..1 and cameras [B] to the same persons in the style of those cameras.

    The camera is encoded as C constant maps concatenated to the colours. Padding is with zeros: instance norm removes
    constants, so that with reflection padding the label would have no effect. Norms keep no running statistics, so that
    the result for an image never depends on its batch.
    """

    def __init__(self, cameras: int, channels: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.cameras = cameras
        wide, widest = 2 * channels, 4 * channels
        self.body = nn.Sequential(
            *_convolution(nn.Conv2d(3 + cameras, channels, 7, 1, 3, bias=False)),
            *_convolution(nn.Conv2d(channels, wide, 4, 2, 1, bias=False)),
            *_convolution(nn.Conv2d(wide, widest, 4, 2, 1, bias=False)),
            *(_Residual(widest) for _ in range(blocks)),
            *_convolution(nn.ConvTranspose2d(widest, wide, 4, 2, 1, bias=False)),
            *_convolution(nn.ConvTranspose2d(wide, channels, 4, 2, 1, bias=False)),
            nn.Conv2d(channels, 3, 7, 1, 3, bias=False),
            nn.Tanh(),
        )

    def forward(self, images: torch.Tensor, cameras: torch.Tensor) -> torch.Tensor:
        """Map [B, 3, H, W] and cameras [B] from 0 to [B, 3, H, W]; H and W are multiples of 4."""
        labels = F.one_hot(cameras, self.cameras).to(images)
        maps = labels[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return self.body(torch.cat([images, maps], 1))  # type: ignore[no-any-return]


class Discriminator(nn.Module):
    """Strided convolutions without norm (the gradient penalty is per image), then a realness map and camera logits."""

    def __init__(self, size: tuple[int, int], cameras: int, channels: int = 64, layers: int = 6) -> None:
        super().__init__()
        self.body = nn.Sequential()
        inputs = 3
        for layer in range(layers):
            outputs = channels * 2**layer
            self.body.append(nn.Conv2d(inputs, outputs, 4, 2, 1)).append(nn.LeakyReLU(0.01))
            inputs = outputs
        self.realness = nn.Conv2d(inputs, 1, 3, 1, 1, bias=False)
        self.camera = nn.Conv2d(inputs, cameras, kernel_size(size, layers), bias=False)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map [B, 3, H, W] to a realness map [B, 1, h, w] and camera logits [B, C]."""
        maps = self.body(images)
        return self.realness(maps), self.camera(maps).flatten(1)


def kernel_size(size: tuple[int, int], layers: int) -> tuple[int, int]:
    """Return height and width of an image after `layers` halvings. Raises DataError if the size does not allow them."""
    height, width = size
    if height % 2**layers or width % 2**layers:
        most = max(number for number in range(9) if height % 2**number == width % 2**number == 0)
        raise DataError(f"images of {height}x{width} can be halved {most} times, not {layers}: lower `critic_layers`")
    return height // 2**layers, width // 2**layers
