"""Swin-T, Swin-S and Swin-B through timm, for rectangular images of any size that is a multiple of 4 pixels."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import Backbone, Features
from reidbench.training.networks.droppath import set_drop_path

from .stems import StemEmbed  # before timm: it makes torchvision importable
from .transformer_params import SwinParams

from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, SwinTransformerStage  # isort: skip


class Controller(nn.Module):
    """SOLIDER's semantic controller (Chen et al., CVPR 2023, section 3.3): a scale and a shift of a stage's output.

    Both are linear in (w, 1 - w), where w is the semantic weight; the scale passes through softplus. Neither is
    trained, as in the official fine-tuning.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Linear(2, dim), nn.Linear(2, dim)
        for layer in (self.scale, self.shift):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor, weight: float) -> torch.Tensor:
        """Map x [B, H, W, dim] and the semantic weight to a tensor of the same shape."""
        shares = x.new_tensor([weight, 1 - weight])
        controlled: torch.Tensor = x * F.softplus(self.scale(shares)) + self.shift(shares)
        return controlled


class Swin(Backbone):
    """timm's SwinTransformer without its head; state-dict names are timm's.

    Unlike in timm, windows never shrink to a small map: the map is padded instead. The tables of relative positions,
    and so the state dict, are the same for every image size. As in the original, the windows of a stage are not shifted
    if one of them covers a side of its map, at the image size that the network was built for.

    With a `semantic` weight it is SOLIDER's Swin: a controller acts on the output of stages 1 to 3, windows of every
    second block are shifted at any size, and maps are padded before the shift instead of after it.
    """

    def __init__(self, network: SwinTransformer, semantic: float | None) -> None:
        super().__init__()
        self.patch_embed, self.layers, self.norm = network.patch_embed, network.layers, network.norm
        self.dim = network.num_features
        self.semantic = semantic
        if semantic is not None:
            self.controllers = nn.ModuleList(Controller(stage.blocks[0].dim) for stage in network.layers[1:])

    def forward(self, images: torch.Tensor) -> Features:
        """Map images [B, 3, H, W] to the normalised map [B, dim, H/32, W/32], rounded up, and its mean [B, dim]."""
        x = self.patch_embed(images)
        x = self.norm(self.layers(x) if self.semantic is None else self._controlled(x, self.semantic))
        return Features(x.permute(0, 3, 1, 2), x.mean((1, 2)))

    def _controlled(self, x: torch.Tensor, weight: float) -> torch.Tensor:
        for number, stage in enumerate(self.layers):
            if number:  # timm merges patches at the start of a stage, SOLIDER at the end of the one before
                x = self.controllers[number - 1](stage.downsample(x), weight)
            for block in stage.blocks:
                x = x + block.drop_path1(_padded_attention(block, block.norm1(x)))
                x = x + block.drop_path2(block.mlp(block.norm2(x)))
        return x


def _padded_attention(block: SwinTransformerBlock, x: torch.Tensor) -> torch.Tensor:
    """Attention in the windows of x [B, H, W, C], which is padded before windows are shifted."""
    height, width = x.shape[1:3]
    more = [-side % window for side, window in zip((height, width), block.window_size, strict=True)]
    padded: torch.Tensor = block._attn(F.pad(x, (0, 0, 0, more[1], 0, more[0])))
    return padded[:, :height, :width]


def _build(
    params: SwinParams,
    image_size: tuple[int, int],
    *,
    dim: int,
    depths: tuple[int, ...],
    heads: tuple[int, ...],
) -> Swin:
    network = SwinTransformer(
        img_size=image_size,
        patch_size=4,
        embed_dim=dim,
        depths=depths,
        num_heads=heads,
        window_size=params.window,
        always_partition=True,
        strict_img_size=False,
        num_classes=0,
        drop_path_rate=0.0,
        embed_layer=partial(StemEmbed, stem=params.stem, stem_width=params.stem_width),
    )
    if params.semantic is None:
        _keep_covered(network.layers)
    set_drop_path(network, params.drop_path)
    return Swin(network, params.semantic)


def _keep_covered(stages: list[SwinTransformerStage]) -> None:
    """Shift no windows of a stage if one of them covers a side of its map."""
    for block in (block for stage in stages for block in stage.blocks):
        if any(side <= window for side, window in zip(block.input_resolution, block.window_size, strict=True)):
            block.shift_size = (0, 0)


swin_tiny = partial(_build, dim=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24))
swin_small = partial(_build, dim=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24))
swin_base = partial(_build, dim=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32))
