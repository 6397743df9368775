"""Swin-T through timm, for rectangular images of any size that is a multiple of its patches of four pixels."""

from __future__ import annotations

from functools import partial

import torch

from reidbench.training import Backbone, Features
from reidbench.training.networks.droppath import set_drop_path

from .stems import StemEmbed  # before timm: it makes torchvision importable
from .transformer_params import SwinParams

from timm.models.swin_transformer import SwinTransformer  # isort: skip


class Swin(Backbone):
    """timm's SwinTransformer without its head; state-dict names are timm's.

    Unlike in timm, windows never shrink to a small map: the map is padded instead. The tables of relative positions,
    and so the state dict, are the same for every image size. As in the original, the windows of a stage are not shifted
    if one of them covers a side of its map, at the image size that the network was built for.
    """

    def __init__(self, network: SwinTransformer) -> None:
        super().__init__()
        self.patch_embed, self.layers, self.norm = network.patch_embed, network.layers, network.norm
        self.dim = network.num_features

    def forward(self, images: torch.Tensor) -> Features:
        """Map images [B, 3, H, W] to the normalised map [B, 768, H/32, W/32], rounded up, and its mean [B, 768]."""
        x = self.norm(self.layers(self.patch_embed(images)))
        return Features(x.permute(0, 3, 1, 2), x.mean((1, 2)))


def swin_tiny(params: SwinParams, image_size: tuple[int, int]) -> Swin:
    """Return Swin-T: 768-d, stages of 2, 2, 6, 2 blocks. Raises ReidbenchError unless sides are multiples of 4."""
    network = SwinTransformer(
        img_size=image_size,
        patch_size=4,
        embed_dim=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=params.window,
        always_partition=True,
        strict_img_size=False,
        num_classes=0,
        drop_path_rate=0.0,
        embed_layer=partial(StemEmbed, stem=params.stem, stem_width=params.stem_width),
    )
    for block in (block for stage in network.layers for block in stage.blocks):
        if any(side <= window for side, window in zip(block.input_resolution, block.window_size, strict=True)):
            block.shift_size = (0, 0)
    set_drop_path(network, params.drop_path)
    return Swin(network)
