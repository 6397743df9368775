"""One stage on several devices: each takes its share of every batch, and all of them make the same step.

The batch of a stage is the batch of all devices together. Every device draws the numbers of the whole batch from the
same streams and keeps those of its own images, so that the numbers of an image do not depend on how many devices
there are; what is not linear in the batch (keys, triplets, a mean over outputs) is gathered. A device is a process, a
rank; alone, nothing here changes anything, and nothing is drawn that was not drawn before.
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
    """The part of a batch that is this device's: of `ranks` equal parts, one after the other, number `rank`."""

    rank: int = 0
    ranks: int = 1

    def whole(self, count: int) -> int:
        """How many the whole batch has when each share has `count`."""
        return count * self.ranks

    def part(self, count: int) -> slice:
        """Where this share is in a whole batch of `count`. Raises ReidbenchError when it cannot be divided."""
        if count % self.ranks:
            raise ReidbenchError(f"a batch of {count} cannot be divided among {self.ranks} devices: use a multiple")
        size = count // self.ranks
        return slice(self.rank * size, (self.rank + 1) * size)

    def of(self, items: torch.Tensor, dim: int = 0, groups: int = 1) -> torch.Tensor:
        """This share of a whole batch along `dim`, which may hold it `groups` times over (views), each divided."""
        if self.ranks == 1:
            return items
        count = items.shape[dim] // groups
        split = items.reshape(*items.shape[:dim], groups, count, *items.shape[dim + 1 :])
        part = self.part(count)
        return split.narrow(dim + 1, part.start, part.stop - part.start).flatten(dim, dim + 1)

    def rand(
        self, *size: int, generator: torch.Generator, dim: int = 0, groups: int = 1, dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """Even numbers of 0..1 of `size`, of which dimension `dim` counts this share's images, `groups` times over.

        Drawn for the whole batch: all devices leave the generator in the same state.
        """
        shape = [self.whole(count) if place == dim else count for place, count in enumerate(size)]
        return self.of(torch.rand(shape, generator=generator, dtype=dtype), dim, groups)


WHOLE = Share()


def this_share() -> Share:
    """The share of this process: of all it is, where no process group was joined."""
    if dist.is_available() and dist.is_initialized():
        return Share(dist.get_rank(), dist.get_world_size())
    return WHOLE


class _Gather(torch.autograd.Function):
    """Shares of all ranks, one after the other. The gradient of a share is the sum of what all ranks make of it."""

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
    """The whole batch [ranks x B, ...] from shares [B, ...], with gradient; what it was given on one device.

    With gradients that are afterwards averaged over the ranks, a loss that each rank computes of the whole batch has
    the gradient that one device gives it: N ranks send it back, and the mean divides by N.
    """
    if this_share().ranks == 1:
        return share
    whole: torch.Tensor = _Gather.apply(share)  # type: ignore[no-untyped-call]
    return whole


@torch.no_grad()
def average(value: torch.Tensor) -> torch.Tensor:
    """The mean over all devices, without gradient; what it was given on one device."""
    ranks = this_share().ranks
    if ranks == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value.div_(ranks)


@torch.no_grad()
def average_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Replace each gradient by its mean over all devices, in one exchange for each type of number."""
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
    """Give all devices the mean of their running statistics, which is what one device with all parts has."""
    if this_share().ranks == 1:
        return
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for buffer in (module.running_mean, module.running_var):
                if buffer is not None:
                    buffer.copy_(average(buffer))


def states_of_all(mine: Any) -> list[Any]:
    """What every rank gives, by rank; they all have to call it."""
    everyone: list[Any] = [None] * this_share().ranks
    dist.all_gather_object(everyone, mine)
    return everyone


def draw_apart() -> None:
    """Let the ranks' global generators differ from here on, so that dropout does not treat their shares alike."""
    share = this_share()
    if share.rank:
        torch.manual_seed(torch.initial_seed() + share.rank)
