"""Stochastic depth (Huang et al., ECCV 2016) on networks that were built with it or without it; the layer is timm's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from reidbench.errors import ReidbenchError

from .torchvision_compat import prepare

_SLOTS = ("drop_path", "drop_path1", "drop_path2")  # timm's names for a block's stochastic depth


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
                setattr(block, slot, _drop_path(block_rate).train(current.training))
            else:
                current.drop_prob = block_rate  # type: ignore[assignment]  # a number on all DropPaths
    return rates


def chosen_drop_path(network: nn.Module, rate: float | None, usual: float, note: Callable[[str], None]) -> float:
    """The rate that a method trains with: `rate` if given, else the one that `network` was built with, else `usual`.

    A given rate that replaces another one of the network is said in a note.
    """
    built = max(drop_path_rates(network), default=0.0)
    if rate is None:
        return built or usual
    if built not in (0.0, rate):
        note(f"the method's drop_path {rate:g} replaces the backbone's {built:g}")
    return rate


def _drop_path(rate: float) -> nn.Module:
    """timm's layer: whole images of a residual branch become 0, the others are scaled up by as much."""
    prepare()  # timm imports torchvision
    from timm.layers import DropPath

    return DropPath(rate)  # type: ignore[no-any-return]


def drop_path_rates(network: nn.Module) -> list[float]:
    """The rate of every block of `network`, in order; 0 where a block was built without."""
    return [float(getattr(next(iter(slots.values())), "drop_prob", 0.0)) for _, slots in _blocks(network)]


def _blocks(network: nn.Module) -> Iterator[tuple[nn.Module, dict[str, nn.Module]]]:
    for module in network.modules():
        if slots := {name: child for name, child in module.named_children() if name in _SLOTS}:
            yield module, slots
