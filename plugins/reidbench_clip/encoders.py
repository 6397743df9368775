"""CLIP's two encoders (Radford et al., ICML 2021): a transformer for images, and a causal one for texts."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, Features, read_state
from reidbench.training.weights.transformers import resize_positions

from .params import FIXED, ClipViTParams, ClipViTTinyParams
from .weights import load_image_encoder

LEARNED_AT = 5  # position of the first learned token: after the start token, "a photo of a"


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), with CLIP's sigmoid approximation of GELU."""

    def __init__(self, dim: int, heads: int, depth: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        narrow = dim**-0.5 * (2 * depth) ** -0.5
        for layer, std in (
            (self.qkv, dim**-0.5),
            (self.proj, narrow),
            (self.fc1, (2 * dim) ** -0.5),
            (self.fc2, narrow),
        ):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens [B, N, dim] to [B, N, dim]; a causal block sees the tokens up to each one."""
        query, key, value = self.qkv(self.norm1(x)).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        hidden = self.fc1(self.norm2(x))
        x = x + self.fc2(hidden * torch.sigmoid(1.702 * hidden))
        return x


class Encoded(NamedTuple):
    """An image's three vectors: the class token before the last block, after it and the norm [B, dim], projected."""

    last: torch.Tensor
    final: torch.Tensor
    projected: torch.Tensor


class ClipViT(Backbone):
    """CLIP's image encoder, for rectangular images; `grid` counts rows and columns of patches of its image size."""

    mean = (0.48145466, 0.4578275, 0.40821073)
    std = (0.26862954, 0.26130258, 0.27577711)

    def __init__(
        self, params: ClipViTParams, image_size: tuple[int, int], *, dim: int, depth: int, heads: int, shared: int
    ) -> None:
        super().__init__()
        self.dim, self.shared = dim, shared
        self.patch, self.stride = params.patch, params.stride or params.patch
        self.grid = self.grid_of(image_size)
        self.patch_embed = nn.Conv2d(3, dim, self.patch, self.stride, bias=False)
        self.cls_token = nn.Parameter(dim**-0.5 * torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(dim**-0.5 * torch.randn(1, 1 + self.grid[0] * self.grid[1], dim))
        self.norm_pre = nn.LayerNorm(dim)
        self.blocks = nn.Sequential(*(Block(dim, heads, depth, causal=False) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.projection = nn.Parameter(dim**-0.5 * torch.randn(dim, shared))

    def grid_of(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of patches of an image of (height, width).

        Raises ReidbenchError if no patch fits, or if patches without overlap do not cover all pixels.
        """
        height, width = image_size
        multiple = self.patch if self.stride == self.patch else 1
        if min(image_size) < self.patch or height % multiple or width % multiple:
            raise ReidbenchError(
                f"patches of {self.patch} pixels do not fit an image of {height}x{width}: "
                f"height and width must be at least {self.patch} and multiples of {multiple}"
            )
        return (height - self.patch) // self.stride + 1, (width - self.patch) // self.stride + 1

    def tokens(self, images: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
        """Map images [B, 3, H, W] to the normalised input of the blocks [B, 1+hw, dim].

        At another image size the positions are resampled. `shift` [B, dim] is added to every token.
        """
        grid = self.grid_of((images.shape[-2], images.shape[-1]))
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(len(images), -1, -1), patches), dim=1)
        x = x + resize_positions(self.pos_embed, self.grid, grid)
        found: torch.Tensor = self.norm_pre(x if shift is None else x + shift[:, None])
        return found

    def forward(self, images: torch.Tensor, shift: torch.Tensor | None = None) -> Features:
        """Map images [B, 3, H, W] to the normalised patch tokens [B, dim, h, w] and the class token [B, dim]."""
        x = self.norm(self.blocks(self.tokens(images, shift)))
        height, width = self.grid_of((images.shape[-2], images.shape[-1]))
        return Features(x[:, 1:].transpose(1, 2).reshape(len(x), self.dim, height, width), x[:, 0])

    def encode(self, images: torch.Tensor) -> Encoded:
        """Map images [B, 3, H, W] to the three vectors of CLIP-ReID; the last has length `shared`."""
        before: torch.Tensor = self.tokens(images)
        for block in list(self.blocks)[:-1]:
            before = block(before)
        final = self.norm(self.blocks[-1](before))[:, 0]
        return Encoded(before[:, 0], final, final @ self.projection)


def _build(
    params: ClipViTParams, image_size: tuple[int, int], *, dim: int, depth: int, heads: int, shared: int
) -> ClipViT:
    network = ClipViT(params, image_size, dim=dim, depth=depth, heads=heads, shared=shared)
    if params.weights_file is not None:
        load_image_encoder(network, read_state(params.weights_file), str(params.weights_file))
    return network


def clip_vit_tiny(params: ClipViTTinyParams, image_size: tuple[int, int]) -> ClipViT:
    """Return a small encoder of the given dimensions. Raises ReidbenchError unless patches cover the image."""
    dims = {"dim": params.dim, "depth": params.depth, "heads": params.heads, "shared": params.shared}
    return _build(params, image_size, **dims)


clip_vit_base = partial(_build, dim=768, depth=12, heads=12, shared=512)


class TextEncoder(nn.Module):
    """CLIP's text encoder for the single sentence "A photo of a [X]1 ... [X]M person.", whose X are given.

    It is frozen. The text's feature is read at the end token. Attention is causal, so the padding after that token has
    no effect and is left out: the sequence has 8 + M tokens instead of 77.
    """

    def __init__(self, dim: int, depth: int, heads: int, shared: int, tokens: int) -> None:
        super().__init__()
        self.fixed = nn.Parameter(0.02 * torch.randn(FIXED, dim))  # embeddings of the template's other tokens
        self.positions = nn.Parameter(0.01 * torch.randn(FIXED + tokens, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, depth, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.projection = nn.Parameter(dim**-0.5 * torch.randn(dim, shared))
        self.requires_grad_(False)

    def forward(self, learned: torch.Tensor) -> torch.Tensor:
        """Map the learned tokens of identities [B, M, dim] to the features of their texts [B, shared]."""
        before, after = (
            part.expand(len(learned), -1, -1) for part in (self.fixed[:LEARNED_AT], self.fixed[LEARNED_AT:])
        )
        x = torch.cat((before, learned, after), dim=1) + self.positions
        found: torch.Tensor = self.norm(self.blocks(x))[:, -1] @ self.projection
        return found
