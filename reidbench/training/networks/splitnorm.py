"""Batch norm over parts of a batch, which emulates several devices for shuffle-BN, and over all devices jointly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.training.devices import gather, this_share

Norm = nn.modules.batchnorm._BatchNorm
Module = TypeVar("Module", bound=nn.Module)


class _Split(Norm):
    """Batch norm that normalises each of `splits` consecutive parts of the batch separately, in training.

    The running statistics become the mean of the parts' updates, so that evaluation and state-dict names are those of
    ordinary batch norm.
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
    """Split every batch norm of `network` into `splits` parts, in place; weights, buffers and names are unchanged."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            # Only the class changes: parameters, buffers and hooks stay the same objects.
            module.__class__ = SplitBatchNorm2d if isinstance(module, nn.BatchNorm2d) else SplitBatchNorm1d
            assert isinstance(module, _Split)
            module.splits = splits
    return network


class _Joined(Norm):
    """Batch norm with the statistics of all devices' shares, of equal size, in training."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, C, ...], this device's share, to the same shape. Computes in float32, returns the input's type."""
        if not self.training:
            return super().forward(maps)
        values = maps.float()
        dims = [0, *range(2, values.ndim)]
        shares = gather(torch.stack([values.mean(dims), values.var(dims, correction=0)])[None])  # [ranks, 2, C]
        mean = shares[:, 0].mean(0)
        # The variance of equal parts together is the mean of their variances plus the variance of their means.
        variance = shares[:, 1].mean(0) + (shares[:, 0] - mean).square().mean(0)
        self._remember(mean.detach(), variance.detach(), len(shares) * values.numel() // values.shape[1])
        shape = (1, -1, *[1] * (values.ndim - 2))
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        normed = (values - mean.view(shape)) * scale.view(shape)
        return (normed if self.bias is None else normed + self.bias.view(shape)).to(maps.dtype)

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)


class JoinedBatchNorm1d(_Joined, nn.BatchNorm1d):
    """Batch norm of vectors [B, C] over all devices."""


class JoinedBatchNorm2d(_Joined, nn.BatchNorm2d):
    """Batch norm of maps [B, C, h, w] over all devices."""


JOINED: dict[type[nn.Module], type[Norm]] = {nn.BatchNorm1d: JoinedBatchNorm1d, nn.BatchNorm2d: JoinedBatchNorm2d}


def join_batch_norm(network: Module) -> Module:
    """Make every batch norm of `network` use the whole batch of all devices, in place; no effect on one device.

    Raises ReidbenchError for a subclass of batch norm, whose behaviour would be lost.
    """
    if this_share().ranks == 1:
        return network
    for module in network.modules():
        if isinstance(module, Norm):
            joined = JOINED.get(type(module))
            if joined is None:
                raise ReidbenchError(f"{type(module).__name__} cannot be joined over devices: set `devices: 1`")
            module.__class__ = joined
    return network


def part_batch_norm(network: Module) -> Module:
    """Undo `join_batch_norm`, in place: each batch norm uses its own share."""
    plain: dict[type[nn.Module], type[nn.Module]] = {joined: norm for norm, joined in JOINED.items()}
    for module in network.modules():
        if type(module) in plain:
            module.__class__ = plain[type(module)]
    return network


def batch_norm_in_parts(network: Module, splits: int) -> Module:
    """Make batch norm use the whole batch of all devices in `splits` parts, in place.

    Each device has splits / devices parts of its share; a single part joins statistics. Raises ReidbenchError if the
    parts cannot be divided among the devices.
    """
    ranks = this_share().ranks
    if splits == 1 and ranks > 1:
        return join_batch_norm(network)
    if splits % ranks:
        raise ReidbenchError(
            f"{splits} parts of batch norm cannot be divided among {ranks} devices: set `splits` to 1 or a multiple"
        )
    return split_batch_norm(network, splits // ranks)


@torch.no_grad()
def reestimate_batch_norm(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace all running statistics by the plain average over `batches` [B, 3, H, W]; the mode is restored.

    Pre-training passes views, patches and unaugmented images through the same batch norm, whose running statistics then
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
