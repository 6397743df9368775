"""Learning rate schedules over epochs and steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim.lr_scheduler import LambdaLR


def warmup_multistep(
    optimiser: torch.optim.Optimizer,
    epochs: int,
    *,
    warmup: float = 1 / 12,
    warmup_factor: float = 0.01,
    milestones: Sequence[float] = (1 / 3, 7 / 12),
    gamma: float = 0.1,
) -> LambdaLR:
    """Linear warm-up from `warmup_factor`, then x `gamma` at each milestone; stepped once per epoch.

    `warmup` and `milestones` are fractions of `epochs`: of BoT's 120 epochs they are 10, 40 and 70.
    """
    warm = round(warmup * epochs)
    steps = [round(milestone * epochs) for milestone in milestones]

    def factor(epoch: int) -> float:
        if epoch < warm:
            return warmup_factor + (1 - warmup_factor) * epoch / warm
        return float(gamma ** sum(epoch >= step for step in steps))

    return LambdaLR(optimiser, factor)


def linear_decay(step: int, total: int, start: float) -> float:
    """Factor of the learning rate: 1 until the fraction `start` of the steps, then linearly to 0 at `total`."""
    constant = round(start * total)
    return 1.0 if step < constant else (total - step) / (total - constant)
