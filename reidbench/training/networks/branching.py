"""Backbones whose last stages are copied into branches."""

from __future__ import annotations

from torch import nn

from reidbench.errors import ReidbenchError

from .backbone import Backbone


def set_stride(stage: nn.Module, stride: int) -> None:
    """Set the stride of a residual stage: its first 3x3 convolution, and the 1x1 one of its first shortcut.

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
        raise ReidbenchError("the stride of this backbone's last stage cannot be changed: its shortcut has no weights")
    spatial.stride = shortcuts[0].stride = (stride, stride)


def divide(backbone: Backbone) -> tuple[nn.Sequential, nn.Sequential]:
    """Split a backbone into the part that branches share, and the part that each branch copies (MGN's cut).

    Shared are the stem, all stages but the last two, and the first block of the second-last. The backbone must provide
    "stages".
    """
    *early, third, fourth = list(backbone.stages)  # type: ignore[arg-type]
    blocks = list(third) if isinstance(third, nn.Sequential) else [third]
    return nn.Sequential(backbone.stem, *early, blocks[0]), nn.Sequential(*blocks[1:], fourth)  # type: ignore[arg-type]
