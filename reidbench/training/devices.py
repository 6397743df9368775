"""One stage on several devices: each takes its share of every batch, and all take the same step.

The batch of a stage is the total over all devices. Every device draws the numbers of the whole batch from the same
generators and keeps those of its images, so that an image's numbers do not depend on the number of devices. Values that
are not linear in the batch (keys, triplets, a mean over outputs) are gathered. A device is a process, a rank. With one
device nothing here has any effect, and no additional numbers are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from reidbench.errors import ReidbenchError


@dataclass(frozen=True)
class Share:
    """This device's part of a batch: number `rank` of `ranks` equal consecutive parts."""

    rank: int = 0
    ranks: int = 1

    def whole(self, count: int) -> int:
        """Size of the whole batch if each share has `count` items."""
        return count * self.ranks

    def part(self, count: int) -> slice:
        """Slice of this share in a whole batch of `count`. Raises ReidbenchError if it cannot be divided."""
        if count % self.ranks:
            raise ReidbenchError(f"a batch of {count} cannot be divided among {self.ranks} devices: use a multiple")
        size = count // self.ranks
        return slice(self.rank * size, (self.rank + 1) * size)

    def of(self, items: torch.Tensor, dim: int = 0, groups: int = 1) -> torch.Tensor:
        """This share of a whole batch along `dim`, which may contain it `groups` times (views), each divided."""
        if self.ranks == 1:
            return items
        count = items.shape[dim] // groups
        split = items.reshape(*items.shape[:dim], groups, count, *items.shape[dim + 1 :])
        part = self.part(count)
        return split.narrow(dim + 1, part.start, part.stop - part.start).flatten(dim, dim + 1)

    def rand(
        self, *size: int, generator: torch.Generator, dim: int = 0, groups: int = 1, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """Uniform numbers in 0..1 of `size`, whose dimension `dim` counts this share's images, `groups` times.

        Drawn for the whole batch: all devices leave the generator in the same state.
        """
        shape = [self.whole(count) if place == dim else count for place, count in enumerate(size)]
        return self.of(torch.rand(shape, generator=generator, dtype=dtype), dim, groups)


WHOLE = Share()


def this_share() -> Share:
    """Share of this process; the whole batch outside a process group."""
    if dist.is_available() and dist.is_initialized():
        return Share(dist.get_rank(), dist.get_world_size())
    return WHOLE


class _Gather(torch.autograd.Function):
    """Concatenate the shares of all ranks. The gradient of a share is the sum over all ranks."""

    @staticmethod
    def forward(ctx: Any, share: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(share, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, share.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (gradient,) = gradients
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return this_share().of(gradient)


def gather(share: torch.Tensor) -> torch.Tensor:
    """Gather the whole batch [ranks x B, ...] from shares [B, ...], with gradient; the identity on one device.

    If gradients are afterwards averaged over the ranks, a loss that each rank computes on the whole batch has the same
    gradient as on one device: N ranks send it back, and the mean divides by N.
    """
    if this_share().ranks == 1:
        return share
    whole: torch.Tensor = _Gather.apply(share)  # type: ignore[no-untyped-call]
    return whole


@torch.no_grad()
def average(value: torch.Tensor) -> torch.Tensor:
    """Mean over all devices, without gradient; the identity on one device."""
    ranks = this_share().ranks
    if ranks == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value.div_(ranks)


@torch.no_grad()
def average_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Replace each gradient by its mean over all devices, in one exchange per data type."""
    ranks = this_share().ranks
    if ranks == 1:
        return
    by_type: dict[torch.dtype, list[torch.Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_type.values():
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat.div_(ranks)
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


@torch.no_grad()
def average_batch_norm(network: nn.Module) -> None:
    """Average the running statistics over all devices, which equals one device with all parts."""
    if this_share().ranks == 1:
        return
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for buffer in (module.running_mean, module.running_var):
                if buffer is not None:
                    buffer.copy_(average(buffer))


def states_of_all(mine: Any) -> list[Any]:
    """Gather a value from every rank, by rank; all ranks must call it."""
    everyone: list[Any] = [None] * this_share().ranks
    dist.all_gather_object(everyone, mine)
    return everyone


def draw_apart() -> None:
    """Seed the ranks' global generators differently from here on, so that dropout differs between their shares."""
    share = this_share()
    if share.rank:
        torch.manual_seed(torch.initial_seed() + share.rank)
