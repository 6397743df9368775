"""Transformer stems, which turn images into patches: patchify, the IBN-based convolution stem (ICS) and its control.

ICS: Luo et al., "Self-Supervised Pre-Training for Transformer-Based Person Re-Identification" (arXiv 2111.12084);
IBN: Pan et al., "Two at Once" (ECCV 2018).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training.networks.torchvision_compat import prepare

prepare()  # timm imports torchvision

from timm.layers import PatchEmbed  # noqa: E402 - after prepare()


class IBN(nn.Module):
    """Instance norm on the first half of the channels, batch norm on the rest (IBN-a).

    The instance norm is affine and has no running statistics: it behaves the same in training and evaluation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sizes = [channels // 2, channels - channels // 2]
        self.IN = nn.InstanceNorm2d(self.sizes[0], affine=True)
        self.BN = nn.BatchNorm2d(self.sizes[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x [B, C, h, w]; the shape is kept."""
        first, second = torch.split(x, self.sizes, dim=1)
        return torch.cat((self.IN(first), self.BN(second)), dim=1)


def convolution_stem(width: int, mixed: bool) -> nn.Sequential:
    """Return three convolutions 7x7 (stride 2), 3x3, 3x3: images [B, 3, H, W] to [B, width, H/2, W/2].

    With `mixed` IBN follows the first two, otherwise batch norm; batch norm always follows the third.
    """

    def first_norm() -> nn.Module:
        return IBN(width) if mixed else nn.BatchNorm2d(width)

    return nn.Sequential(
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        first_norm(),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, 1, 1, bias=False),
        first_norm(),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class StemEmbed(PatchEmbed):  # type: ignore[misc]
    """timm's patch embedding with a choice of stem and with overlapping patches, for timm's `embed_layer`.

    A convolution stem halves the image, so its projection has half the patch's size and stride. Released names:
    `conv.*` (0 to 8, none for patchify) and `proj.*`. Image sizes: see `grid_of`.
    """

    proj: nn.Conv2d

    def __init__(self, *args: Any, stem: str, stem_width: int, stride: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "strict_img_size": False})
        patch, dim, bias = self.patch_size[0], self.proj.out_channels, self.proj.bias is not None
        self.stride = stride or patch
        self.multiple = patch if self.stride == patch else 1 if stem == "patchify" else 2
        self.grid_size = self.grid_of(self.img_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        where: dict[str, Any] = {"device": self.proj.weight.device, "dtype": self.proj.weight.dtype}
        if stem == "patchify":
            self.proj = nn.Conv2d(3, dim, patch, self.stride, bias=bias, **where)
        else:
            del self.proj  # so that `conv` comes first, as in the released files
            self.conv = convolution_stem(stem_width, mixed=stem == "ics").to(**where)
            self.proj = nn.Conv2d(stem_width, dim, patch // 2, self.stride // 2, bias=bias, **where)

    def grid_of(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of patches of an image of (height, width).

        Raises ReidbenchError if no patch fits, if patches without overlap do not cover all pixels, or if a convolution
        stem would halve an odd side.
        """
        patch = self.patch_size[0]
        if min(image_size) < patch or image_size[0] % self.multiple or image_size[1] % self.multiple:
            size = "x".join(map(str, image_size))
            raise ReidbenchError(
                f"patches of {patch} pixels do not fit an image of {size}: "
                f"height and width must be at least {patch} and multiples of {self.multiple}"
            )
        return tuple((side - patch) // self.stride + 1 for side in image_size)

    def dynamic_feat_size(self, img_size: tuple[int, int]) -> tuple[int, int]:
        """Return `grid_of`, under timm's name."""
        return self.grid_of(img_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to patches [B, h, w, dim]. Raises as `grid_of`."""
        self.grid_of((images.shape[-2], images.shape[-1]))
        x = self.conv(images) if hasattr(self, "conv") else images
        return self.norm(self.proj(x).permute(0, 2, 3, 1))  # type: ignore[no-any-return]
