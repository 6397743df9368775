"""Backbones whose last stages are copied into branches."""

from __future__ import annotations

from torch import nn

from reidbench.errors import ReidbenchError

from .backbone import Backbone


def set_stride(stage: nn.Module, stride: int) -> None:
    """Give a residual stage another stride: its first 3x3 convolution, and the 1x1 one of its first shortcut.

    Raises ReidbenchError for a stage whose first block has no convolution in its shortcut.
    """
    convolutions = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
    spatial = next(module for module in convolutions if module.kernel_size == (3, 3))
    shortcuts = [
        module
        for name, module in stage.named_modules()
        if isinstance(module, nn.Conv2d) and ("downsample" in name or "shortcut" in name)
    ]
    if not shortcuts:
        raise ReidbenchError("the last stage of this backbone cannot change its stride: its shortcut has no weights")
    spatial.stride = shortcuts[0].stride = (stride, stride)


def divide(backbone: Backbone) -> tuple[nn.Sequential, nn.Sequential]:
    """The part that branches share, and the part that each has a copy of (MGN's cut).

    Shared are the stem, all but the last two stages, and the first block of the last but one. The backbone must
    provide "stages".
    """
    *early, third, fourth = list(backbone.stages)  # type: ignore[arg-type]
    blocks = list(third) if isinstance(third, nn.Sequential) else [third]
    return nn.Sequential(backbone.stem, *early, blocks[0]), nn.Sequential(*blocks[1:], fourth)  # type: ignore[arg-type]
