"""E_str: encodes pose and silhouette from a body's grey render, without clothes (GCL, section 3.1)."""

from __future__ import annotations

import torch
from torch import nn

from reidbench.errors import DataError

from .layers import Convolution, Residual
from .params import GeneratorParams

STRIDE = 4  # of the structure code


class StructureEncoder(nn.Module):
    """Map structure maps [B, 1, H, W], white background at +1, to codes [B, 8 dim, H/4, W/4].

    380,544 parameters at dim 16. It never sees the photograph.
    """

    def __init__(self, params: GeneratorParams) -> None:
        super().__init__()
        dim = params.dim
        self.stem = nn.Sequential(
            Convolution(1, dim, 3, stride=2),
            Convolution(dim, 2 * dim, 3),
            Convolution(2 * dim, 2 * dim, 3),
            Convolution(2 * dim, 4 * dim, 3, stride=2),
        )
        self.blocks = nn.Sequential(*(Residual(4 * dim) for _ in range(params.blocks)))
        self.pyramid = Pyramid(4 * dim, 2 * dim, params.dilations)

    def forward(self, structure: torch.Tensor) -> torch.Tensor:
        """Return the structure code."""
        return self.pyramid(self.blocks(self.stem(structure)))  # type: ignore[no-any-return]


class Pyramid(nn.Module):
    """Four parallel branches with growing receptive field, concatenated, fused by a 1x1 convolution and normalised."""

    def __init__(self, inputs: int, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.near = Convolution(inputs, width, 1, active=False)
        self.far = nn.ModuleList(
            nn.Sequential(Convolution(inputs, width, 1), Convolution(width, width, 3, dilation=dilation, active=False))
            for dilation in dilations
        )
        total = width * (1 + len(dilations))
        self.fuse = Convolution(total, total, 1, active=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs, h, w] to [B, 4 width, h, w]."""
        return self.fuse(torch.cat([self.near(x), *(branch(x) for branch in self.far)], dim=1))  # type: ignore[no-any-return]


def code_size(params: GeneratorParams, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the structure code of images [H, W].

    Raises DataError for a size that is not a multiple of 4 or too small for the dilations: reflection padding needs a
    map larger than the padding.
    """
    height, width = image_size
    if height % STRIDE or width % STRIDE:
        raise DataError(
            f"GCL's generator needs image sizes that are multiples of {STRIDE}, not {height}x{width}: set image_size"
        )
    code = height // STRIDE, width // STRIDE
    most = min(code) - 1
    if most < 1:
        raise DataError(f"GCL's generator needs images of at least 8x8, not {height}x{width}: set image_size")
    if max(params.dilations) > most:
        raise DataError(
            f"dilations {list(params.dilations)} do not fit {height}x{width} images: the structure code is "
            f"{code[0]}x{code[1]}, so each may be at most {most}; use for example {[min(n, most) for n in (1, 2, 3)]}"
        )
    return code
