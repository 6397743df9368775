"""Stochastic depth (Huang et al., ECCV 2016) on networks that were built with it or without it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from reidbench.errors import ReidbenchError

_SLOTS = ("drop_path", "drop_path1", "drop_path2")  # timm's names for a block's stochastic depth


class DropPath(nn.Module):
    """Leaves a residual branch out for a random share of the images, and scales the others up by as much.

    `drop_prob` is that share. The draws come from torch's generator, which checkpoints hold, as dropout's do.
    It has no tensors, so that putting it into a network changes no state dict.
    """

    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, ...] with whole images set to zero while training; the same tensor otherwise."""
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1.0 - self.drop_prob
        kept = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * kept.div_(keep)


def set_drop_path(network: nn.Module, rate: float) -> list[float]:
    """Give block i of `network` the rate linspace(0, rate, depth)[i], and return the rates; 0 turns it off.

    A block is a module with a child called drop_path, drop_path1 or drop_path2 (timm's names): a DropPath of any
    library, or the Identity that stands there where the network was built without, which is replaced. Blocks are
    taken in the order of `network.modules()`. Raises ReidbenchError for a rate outside [0, 1).
    A network without such blocks gets an empty list: it has no stochastic depth to set.
    """
    if not 0.0 <= rate < 1.0:
        raise ReidbenchError(f"the drop path rate must be at least 0 and below 1, got {rate}")
    blocks = list(_blocks(network))
    rates = [rate * index / max(len(blocks) - 1, 1) for index in range(len(blocks))]
    for (block, slots), block_rate in zip(blocks, rates, strict=True):
        for slot, current in slots.items():
            if isinstance(current, nn.Identity):
                setattr(block, slot, DropPath(block_rate).train(current.training))
            else:
                current.drop_prob = block_rate  # type: ignore[assignment]  # a number on all DropPaths
    return rates


def drop_path_rates(network: nn.Module) -> list[float]:
    """The rate of every block of `network`, in order; 0 where a block was built without."""
    return [float(getattr(next(iter(slots.values())), "drop_prob", 0.0)) for _, slots in _blocks(network)]


def _blocks(network: nn.Module) -> Iterator[tuple[nn.Module, dict[str, nn.Module]]]:
    for module in network.modules():
        if slots := {name: child for name, child in module.named_children() if name in _SLOTS}:
            yield module, slots
