"""A step of optimisers under the precision that the matrix file asks for, on as many devices."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from reidbench.training.devices import average_gradients


def trained(*networks: nn.Module) -> list[nn.Parameter]:
    """The parameters that ask for a gradient, for an optimiser."""
    return [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]


class Update:
    """Optimisers that step together through a Lightning Fabric.

    Networks run inside `with update.precision():`, which computes in bfloat16 or float16 where the fabric says so;
    losses are computed outside it, on features turned to float32. On several devices the gradients of all are averaged:
    a loss is the mean over this device's share of the batch, or one of the whole batch (`reidbench.training.gather`).
    """

    def __init__(self, fabric: Any, *optimisers: torch.optim.Optimizer) -> None:
        self.fabric = fabric
        self.optimisers = [fabric.setup_optimizers(optimiser) for optimiser in optimisers]

    def precision(self) -> AbstractContextManager[Any]:
        """Where networks run: nothing changes under `32-true`."""
        context: AbstractContextManager[Any] = self.fabric.autocast()
        return context

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of `loss` alone, averaged over devices; float16's are scaled until the step."""
        self.accumulate([loss])

    def accumulate(self, losses: Iterable[torch.Tensor]) -> None:
        """Gradients of the sum of `losses`, as `backward` gives them of one.

        Each is taken back before the next is asked for, so that no more than one graph is held.
        """
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for loss in losses:
            self.fabric.backward(loss)
        average_gradients(
            weight for optimiser in self.optimisers for group in optimiser.param_groups for weight in group["params"]
        )

    def clip(self, network: nn.Module, norm: float) -> None:
        """Scale the gradients of `network` together down to `norm`; float16's are divided by their scale first."""
        self.fabric.clip_gradients(network, self.optimisers[0], max_norm=norm, error_if_nonfinite=False)

    def step(self) -> None:
        """Each optimiser steps once."""
        for optimiser in self.optimisers:
            optimiser.step()

    def __call__(self, loss: torch.Tensor) -> float:
        """Backward and step; returns the loss as a number."""
        self.backward(loss)
        self.step()
        return float(loss.detach())
