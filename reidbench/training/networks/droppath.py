"""Stochastic depth (Huang et al., ECCV 2016) for networks built with or without it, by timm's layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from reidbench.errors import ReidbenchError

from .torchvision_compat import prepare

_SLOTS = ("drop_path", "drop_path1", "drop_path2")  # timm's names for a block's stochastic depth


def set_drop_path(network: nn.Module, rate: float) -> list[float]:
    """Set the rate of block i of `network` to linspace(0, rate, depth)[i], and return the rates; 0 disables it.

    A block is a module with a child named drop_path, drop_path1 or drop_path2 (timm's names): a DropPath of any
    library, or the Identity of a network built without it, which is replaced. Blocks are taken in the order of
    `network.modules()`. Raises ReidbenchError for a rate outside [0, 1). Returns an empty list for a network without
    such blocks.
    """
    if not 0.0 <= rate < 1.0:
        raise ReidbenchError(f"the drop path rate must be in [0, 1), got {rate}")
    blocks = list(_blocks(network))
    rates = [rate * index / max(len(blocks) - 1, 1) for index in range(len(blocks))]
    for (block, slots), block_rate in zip(blocks, rates, strict=True):
        for slot, current in slots.items():
            if isinstance(current, nn.Identity):
                setattr(block, slot, _drop_path(block_rate).train(current.training))
            else:
                current.drop_prob = block_rate  # type: ignore[assignment]  # a number on all DropPaths
    return rates


def chosen_drop_path(network: nn.Module, rate: float | None, usual: float, note: Callable[[str], None]) -> float:
    """Rate that a method trains with: `rate` if given, otherwise the network's own if it has one, otherwise `usual`.

    Notes a given rate that replaces another one of the network.
    """
    built = max(drop_path_rates(network), default=0.0)
    if rate is None:
        return built or usual
    if built not in (0.0, rate):
        note(f"the method's drop_path {rate:g} replaces the backbone's {built:g}")
    return rate


def _drop_path(rate: float) -> nn.Module:
    """timm's layer: sets a residual branch to 0 for whole images, and scales the others up to compensate."""
    prepare()  # timm imports torchvision
    from timm.layers import DropPath

    return DropPath(rate)  # type: ignore[no-any-return]


def drop_path_rates(network: nn.Module) -> list[float]:
    """Rate of every block of `network`, in order; 0 for a block built without drop path."""
    return [float(getattr(next(iter(slots.values())), "drop_prob", 0.0)) for _, slots in _blocks(network)]


def _blocks(network: nn.Module) -> Iterator[tuple[nn.Module, dict[str, nn.Module]]]:
    for module in network.modules():
        if slots := {name: child for name, child in module.named_children() if name in _SLOTS}:
            yield module, slots
