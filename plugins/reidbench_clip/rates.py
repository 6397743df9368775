"""Learning rates of clip-reid's epochs, as in the official schedulers, which step before an epoch."""

from __future__ import annotations

import math

from .params import ClipReidParams


def prompt_rate(params: ClipReidParams, epoch: int) -> float:
    """Learning rate of the first stage in `epoch`, counted from 1: linear warm-up, then the cosine from epoch 0 on."""
    total, warm = params.prompt_epochs, round(params.prompt_warmup * params.prompt_epochs)
    if epoch < warm:
        return params.prompt_warmup_lr + (params.prompt_lr - params.prompt_warmup_lr) * epoch / warm
    cosine = (1 + math.cos(math.pi * epoch / total)) / 2
    return params.prompt_floor + (params.prompt_lr - params.prompt_floor) * cosine


def network_rate(params: ClipReidParams, epoch: int) -> float:
    """Learning rate of the second stage in its `epoch`, counted from 1: linear warm-up, then a drop per milestone."""
    warm = round(params.warmup * params.epochs)
    drops = sum(epoch >= round(milestone * params.epochs) for milestone in params.milestones)
    rising = params.warmup_factor + (1 - params.warmup_factor) * epoch / warm if epoch < warm else 1.0
    return params.lr * rising * params.gamma**drops


def rate(params: ClipReidParams, epoch: int) -> float:
    """Learning rate in `epoch` of both stages together, counted from 0."""
    if epoch < params.prompt_epochs:
        return prompt_rate(params, epoch + 1)
    return network_rate(params, epoch + 1 - params.prompt_epochs)
