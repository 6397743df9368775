"""Batch norm in parts: on one device what several devices do, which is what makes shuffle-BN work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

Norm = nn.modules.batchnorm._BatchNorm
Module = TypeVar("Module", bound=nn.Module)


class _Split(Norm):
    """In training each of `splits` consecutive parts of the batch is normalised by its own statistics.

    The running statistics become the mean of what each part would have made of them, so that evaluation and
    state-dict names are those of ordinary batch norm.
    """

    splits: int = 1

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, C, ...] to the same shape; B need not be divisible by the number of parts."""
        if not self.training or self.splits == 1:
            return super().forward(maps)
        parts = maps.tensor_split(min(self.splits, len(maps)))
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return torch.cat([F.batch_norm(part, None, None, self.weight, self.bias, True) for part in parts])
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        means = self.running_mean.expand(len(parts), -1).clone()
        variances = self.running_var.expand(len(parts), -1).clone()
        normed = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, momentum, self.eps)
            for part, mean, variance in zip(parts, means.unbind(), variances.unbind(), strict=True)
        ]
        self.running_mean.copy_(means.mean(0))
        self.running_var.copy_(variances.mean(0))
        return torch.cat(normed)


class SplitBatchNorm1d(_Split, nn.BatchNorm1d):
    """SplitBN of vectors [B, C]."""


class SplitBatchNorm2d(_Split, nn.BatchNorm2d):
    """SplitBN of maps [B, C, h, w]."""


def split_batch_norm(network: Module, splits: int) -> Module:
    """Give every batch norm of `network` that many parts, in place; weights, buffers and names stay."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            # The class alone differs: parameters, buffers and hooks stay the very objects that they are.
            module.__class__ = SplitBatchNorm2d if isinstance(module, nn.BatchNorm2d) else SplitBatchNorm1d
            assert isinstance(module, _Split)
            module.splits = splits
    return network


@torch.no_grad()
def reestimate_batch_norm(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace all running statistics by the plain average over `batches` [B, 3, H, W]; the mode is left as it was.

    Pre-training passes views, patches and originals through the same batch norm, whose running statistics then
    fit none of them.
    """
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    before = [norm.momentum for norm in norms]
    training = network.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the cumulative average
    network.train()
    for images in batches:
        network(images)
    network.train(training)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
