"""Vision transformers for person images: rectangular, with a choice of stem, through timm.

State-dict names are timm's, which are those of DINO, TransReID and TransReID-SSL: `cls_token`, `pos_embed`,
`patch_embed.proj.*`, `blocks.N.*`, `norm.*`; 150 tensors at twelve blocks, 172 with ICS. PASS's part tokens are
`part_tokens` and `part_positions`.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import Backbone, Features
from reidbench.training.networks.droppath import set_drop_path

from .stems import StemEmbed  # before timm: it makes torchvision importable
from .transformer_params import ViTParams, ViTTinyParams

from timm.layers import trunc_normal_  # isort: skip
from timm.models.vision_transformer import VisionTransformer  # isort: skip


def interpolate_positions(positions: torch.Tensor, built: tuple[int, int], grid: tuple[int, int]) -> torch.Tensor:
    """Interpolate the position embedding [1, 1+hw, D] of the grid `built` to `grid`; the CLS position is kept.

    As in DINO's training on local crops: bicubic with the scale factors (h + 0.1)/H and (w + 0.1)/W, without
    antialiasing. If the grids are equal, returns the tensor itself.
    """
    if grid == built:
        return positions
    cls, patches = positions[:, :1], positions[:, 1:]
    field = patches.reshape(1, *built, -1).permute(0, 3, 1, 2)
    # the 0.1 prevents rounding down to one less, and shifts the sampling points
    factors = ((grid[0] + 0.1) / built[0], (grid[1] + 0.1) / built[1])
    field = F.interpolate(field, scale_factor=factors, mode="bicubic", align_corners=False, antialias=False)
    return torch.cat((cls, field.flatten(2).transpose(1, 2)), dim=1)


class ViT(Backbone):
    """timm's VisionTransformer without its head. Accepts any image size that is covered by its patches.

    `grid` (rows, columns) counts the patches of the image size it was built for, which `pos_embed` belongs to.
    `parts` learned tokens with positions (Zhu et al., PASS, ECCV 2022) follow the CLS token; `fusion` is ViTParams's.
    """

    cls_token: nn.Parameter
    pos_embed: nn.Parameter
    patch_embed: StemEmbed
    blocks: nn.Sequential
    norm: nn.Module

    def __init__(self, network: VisionTransformer, parts: int = 0, fusion: str = "cat") -> None:
        super().__init__()
        self.cls_token, self.pos_embed = network.cls_token, network.pos_embed
        self.patch_embed, self.blocks, self.norm = network.patch_embed, network.blocks, network.norm
        self.dim = network.embed_dim
        self.grid: tuple[int, int] = self.patch_embed.grid_size
        trunc_normal_(self.cls_token, std=0.02)  # as in DINO and TransReID; timm uses 1e-6
        self.parts, self.fusion = parts, fusion
        if parts:
            self.part_tokens = nn.Parameter(trunc_normal_(torch.empty(1, parts, self.dim), std=0.02))
            self.part_positions = nn.Parameter(trunc_normal_(torch.empty(1, parts, self.dim), std=0.02))
            self.dim *= 2 if fusion == "cat" else 1

    def tokens(self, images: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
        """Map images [B, 3, H, W] to the input of the blocks [B, 1+hw, dim]: CLS and patches with their positions.

        Part tokens are between them. `shift` [B, dim] is added to every token (TransReID's side information).
        """
        return self._tokens(images, shift)[0]

    def forward(self, images: torch.Tensor, shift: torch.Tensor | None = None) -> Features:
        """Map images [B, 3, H, W] to the normalised patch tokens [B, dim, h, w] and the normalised CLS [B, dim].

        With part tokens, the mean of their outputs is joined to the CLS and to each patch, or averaged with it.
        """
        x, grid = self._tokens(images, shift)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if self.parts:
            x = self._fused(x)
        return Features(x[:, 1:].transpose(1, 2).reshape(len(x), -1, *grid), x[:, 0])

    def _fused(self, x: torch.Tensor) -> torch.Tensor:
        """Fuse each token, except for part tokens, with their mean: [B, 1+parts+hw, d] to [B, 1+hw, dim]."""
        others = torch.cat((x[:, :1], x[:, 1 + self.parts :]), dim=1)
        mean = x[:, 1 : 1 + self.parts].mean(1, keepdim=True).expand_as(others)
        return torch.cat((others, mean), dim=2) if self.fusion == "cat" else (others + mean) / 2

    def _tokens(self, images: torch.Tensor, shift: torch.Tensor | None) -> tuple[torch.Tensor, tuple[int, int]]:
        patches = self.patch_embed(images)  # [B, h, w, dim]
        grid = (patches.shape[1], patches.shape[2])
        tokens: torch.Tensor = self.cls_token
        positions = interpolate_positions(self.pos_embed, self.grid, grid)
        if self.parts:
            tokens = torch.cat((tokens, self.part_tokens), dim=1)
            positions = torch.cat((positions[:, :1], self.part_positions, positions[:, 1:]), dim=1)
        x = torch.cat((tokens.expand(len(images), -1, -1), patches.flatten(1, 2)), dim=1) + positions
        return (x if shift is None else x + shift[:, None]), grid


def vit_tiny(params: ViTTinyParams, image_size: tuple[int, int]) -> ViT:
    """Return a small ViT of the given dimensions. Raises ReidbenchError unless patches cover the image."""
    return _build(params, image_size, dim=params.dim, depth=params.depth, heads=params.heads)


def _build(params: ViTParams, image_size: tuple[int, int], *, dim: int, depth: int, heads: int) -> ViT:
    network = VisionTransformer(
        img_size=image_size,
        patch_size=params.patch,
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        num_classes=0,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        embed_layer=partial(StemEmbed, stem=params.stem, stem_width=params.stem_width, stride=params.stride),
    )
    set_drop_path(network, params.drop_path)
    return ViT(network, params.part_tokens, params.fusion)


vit_small = partial(_build, dim=384, depth=12, heads=6)
vit_base = partial(_build, dim=768, depth=12, heads=12)
