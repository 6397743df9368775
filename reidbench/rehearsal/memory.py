"""The memory that a training needs at least: its network, and what one pass keeps for the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

PER_PARAMETER = 16  # bytes: a weight, its gradient and the two moments of Adam, in 32 bits


def training_bytes(network: nn.Module, size: tuple[int, int], images: int) -> int:
    """Bytes for the parameters of a network and for a pass over so many images, in 32 bits.

    Of the network alone: heads, losses, augmentation, a second copy of the network and the libraries come on top.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters * PER_PARAMETER + saved_bytes(network, size) * images


def saved_bytes(network: nn.Module, size: tuple[int, int]) -> int:
    """Bytes that autograd keeps for one more image in a forward pass of training. No number is computed.

    The network is moved to torch's `meta` device, where tensors have shapes only. Batch norm refuses a single image,
    so this is the difference between three images and two, and what is kept once for all images is not in it.
    """
    network = network.to("meta").train()
    return _kept(network, 3, size) - _kept(network, 2, size)


def _kept(network: nn.Module, images: int, size: tuple[int, int]) -> int:
    """Bytes of the storages that a pass keeps, each once however many operations share it."""
    import torch

    storages: dict[int, torch.UntypedStorage] = {}  # kept alive, so that no other storage gets the place of one

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answer = network(torch.empty(images, 3, *size, device="meta"))
    del answer  # which the hooks' tensors have lived for
    return sum(storage.nbytes() for storage in storages.values())
