"""Networks of CycleGAN (Zhu et al., ICCV 2017) and the Siamese network of SPGAN (Deng et al., CVPR 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import DataError

from .params import MOST_LAYERS

SLOPE = 0.2  # of all leaky ReLUs


class Generator(nn.Module):
    """Map images [B, 3, H, W] in -1..1 to the same images in the style of another domain.

    Each norm uses the statistics of a single image, so that the result never depends on the batch.
    """

    def __init__(self, channels: int = 64, blocks: int = 9) -> None:
        super().__init__()
        wide, widest = 2 * channels, 4 * channels
        self.body = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d(3, channels, 7, bias=False), nn.ReLU(inplace=True)),
            *_normed(nn.Conv2d(channels, wide, 3, 2, 1, bias=False), nn.ReLU(inplace=True)),
            *_normed(nn.Conv2d(wide, widest, 3, 2, 1, bias=False), nn.ReLU(inplace=True)),
            *(_Residual(widest) for _ in range(blocks)),
            *_normed(nn.ConvTranspose2d(widest, wide, 3, 2, 1, 1, bias=False), nn.ReLU(inplace=True)),
            *_normed(nn.ConvTranspose2d(wide, channels, 3, 2, 1, 1, bias=False), nn.ReLU(inplace=True)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels, 3, 7),
            nn.Tanh(),
        )
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [B, 3, H, W] to [B, 3, H, W]; H and W are multiples of 4."""
        return self.body(images)  # type: ignore[no-any-return]


class _Residual(nn.Module):
    """Two 3x3 convolutions with reflected borders and instance norm, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normed(nn.Conv2d(channels, channels, 3, bias=False), nn.ReLU(inplace=True)),
            nn.ReflectionPad2d(1),
            *_normed(nn.Conv2d(channels, channels, 3, bias=False)),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.body(maps)  # type: ignore[no-any-return]


class Discriminator(nn.Module):
    """PatchGAN: a map of realness [B, 1, h, w] of overlapping patches; with 3 layers they are 70x70 pixels."""

    def __init__(self, size: tuple[int, int], channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        if min(side // 2**layers for side in size) < 3:
            raise DataError(
                f"images of {size[0]}x{size[1]} are too small for {layers} halvings, which must leave maps of 3x3 or "
                "more: lower `critic_layers`"
            )
        leaky = nn.LeakyReLU(SLOPE, inplace=True)
        self.body = nn.Sequential(nn.Conv2d(3, channels, 4, 2, 1), leaky)
        inputs = channels
        for layer in range(1, layers + 1):
            outputs = channels * 2 ** min(layer, 3)
            stride = 2 if layer < layers else 1
            self.body.extend(_normed(nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False), leaky))
            inputs = outputs
        self.body.append(nn.Conv2d(inputs, 1, 4, 1, 1))
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [B, 3, H, W] to realness [B, 1, h, w]: 1 for a real patch, 0 for a translated one."""
        return self.body(images)  # type: ignore[no-any-return]


class SiameseNetwork(nn.Module):
    """Map images to unit vectors in which an image and its translation are close: SiaNet of SPGAN.

    Every layer is a 4x4 convolution of stride 2, a leaky ReLU and a 2x2 max pooling. Dropout is drawn from `drops`, on
    the CPU, so that the device does not change the result.
    """

    def __init__(
        self, size: tuple[int, int], channels: int, layers: int | None, dropout: float, drops: torch.Generator
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        inputs, (height, width) = 3, size
        for layer in range(siamese_layers(size, layers)):
            outputs = channels * 2**layer
            self.layers.extend([nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(SLOPE), nn.MaxPool2d(2)])
            inputs, height, width = outputs, height // 4, width // 4
        self.hidden = nn.Linear(inputs * height * width, 2 * channels)
        self.output = nn.Linear(2 * channels, channels)
        self.dropout = dropout
        self.drops = drops
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [B, 3, H, W] to unit vectors [B, channels]."""
        hidden = F.leaky_relu(self.hidden(self.layers(images).flatten(1)), SLOPE)
        if self.training and self.dropout > 0:
            kept = torch.rand(hidden.shape, generator=self.drops) >= self.dropout
            hidden = hidden * kept.to(hidden) / (1 - self.dropout)
        return F.normalize(self.output(hidden).float(), dim=1)


def siamese_layers(size: tuple[int, int], layers: int | None) -> int:
    """Return the number of layers for an image size. Raises DataError if it does not allow the requested number."""
    most = max(number for number in range(12) if min(size) >= 4**number)
    if layers is not None and layers > most:
        raise DataError(
            f"images of {size[0]}x{size[1]} can be quartered {most} times: lower `siamese_layers` to {most}"
        )
    return min(most, MOST_LAYERS) if layers is None else layers


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d, *then: nn.Module) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(convolution.out_channels, affine=True), *then]


def _initialise(module: nn.Module) -> None:
    """Draw weights of N(0, 0.02), those of norms of N(1, 0.02), as CycleGAN does."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.InstanceNorm2d):
        nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.InstanceNorm2d) else 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
