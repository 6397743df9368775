"""Minimum memory of a training: its network, and the activations that a pass keeps for the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

PER_PARAMETER = 16  # bytes: a weight, its gradient and the two moments of Adam, in 32 bits


def training_bytes(network: nn.Module, size: tuple[int, int], images: int) -> int:
    """Return the bytes for the parameters of a network and for a pass over `images` images, in 32 bits.

    Heads, losses, augmentation, a second copy of the network and libraries are not included.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters * PER_PARAMETER + saved_bytes(network, size) * images


def saved_bytes(network: nn.Module, size: tuple[int, int]) -> int:
    """Return the bytes that autograd keeps per image in a forward pass of training, without computing it.

    The network is moved to torch's `meta` device, where tensors have only shapes. Since batch norm rejects a single
    image, this is the difference between three images and two, without data kept once for all images.
    """
    network = network.to("meta").train()
    return _kept(network, 3, size) - _kept(network, 2, size)


def _kept(network: nn.Module, images: int, size: tuple[int, int]) -> int:
    """Return the bytes of the storages that a pass keeps; shared storages count once."""
    import torch

    storages: dict[int, torch.UntypedStorage] = {}  # kept alive, so that no address is reused

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answer = network(torch.empty(images, 3, *size, device="meta"))
    del answer  # kept the saved tensors alive until here
    return sum(storage.nbytes() for storage in storages.values())
