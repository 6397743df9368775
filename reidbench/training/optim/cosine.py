"""Cosine schedule of vision transformers: warm-up and floor are absolute rates, equal for all groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(
    optimiser: torch.optim.Optimizer,
    epochs: int,
    lr: float,
    *,
    warmup: float = 1 / 6,
    warmup_factor: float = 0.01,
    floor_factor: float = 0.002,
) -> LambdaLR:
    """Linear warm-up, then the cosine as if it had run from epoch 0; stepped once per epoch.

    With B the initial rate of a group, W = round(warmup * epochs), s = warmup_factor * lr and m = floor_factor * lr,
    epoch t = 0, 1, ... has s + (B - s) t / W before W, and from W on m + (B - m) (1 + cos(pi t / epochs)) / 2. Since s
    and m do not depend on B, groups with another B start at the same rate and end at nearly the same; and the rate
    drops at W, where the cosine has already fallen. Both match timm's `CosineLRScheduler` without `warmup_prefix`.
    """
    warm = round(warmup * epochs)
    start, floor = warmup_factor * lr, floor_factor * lr

    def of(base: float) -> Callable[[int], float]:
        def factor(epoch: int) -> float:
            if epoch < warm:
                return (start + (base - start) * epoch / warm) / base
            return (floor + (base - floor) * (1 + math.cos(math.pi * epoch / epochs)) / 2) / base

        return factor

    return LambdaLR(optimiser, [of(float(group["lr"])) for group in optimiser.param_groups])
