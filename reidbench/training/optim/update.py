"""Optimiser steps in the precision and on the devices that the matrix file selects."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from reidbench.training.devices import average_gradients


def trained(*networks: nn.Module) -> list[nn.Parameter]:
    """The parameters that require a gradient, for an optimiser."""
    return [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]


class Update:
    """Optimisers that step together through a Lightning Fabric.

    Networks run inside `with update.precision():`, which computes in bfloat16 or float16 if the fabric is configured
    so; losses are computed outside it, on features converted to float32. On several devices the gradients are averaged:
    a loss is the mean over this device's share of the batch, or a loss of the whole batch
    (`reidbench.training.gather`).
    """

    def __init__(self, fabric: Any, *optimisers: torch.optim.Optimizer) -> None:
        self.fabric = fabric
        self.optimisers = [fabric.setup_optimizers(optimiser) for optimiser in optimisers]

    def precision(self) -> AbstractContextManager[Any]:
        """Context in which networks run; no effect under `32-true`."""
        context: AbstractContextManager[Any] = self.fabric.autocast()
        return context

    def backward(self, loss: torch.Tensor) -> None:
        """Compute the gradients of `loss` only, averaged over devices; in float16 they are scaled until the step."""
        self.accumulate([loss])

    def accumulate(self, losses: Iterable[torch.Tensor]) -> None:
        """Compute the gradients of the sum of `losses`, as `backward` does for one.

        Runs backward for each loss before requesting the next, so that at most one graph is in memory.
        """
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for loss in losses:
            self.fabric.backward(loss)
        average_gradients(
            weight for optimiser in self.optimisers for group in optimiser.param_groups for weight in group["params"]
        )

    def clip(self, network: nn.Module, norm: float) -> None:
        """Clip the total gradient norm of `network` to `norm`; in float16 the gradients are unscaled first."""
        self.fabric.clip_gradients(network, self.optimisers[0], max_norm=norm, error_if_nonfinite=False)

    def step(self) -> None:
        """Step each optimiser once."""
        for optimiser in self.optimisers:
            optimiser.step()

    def __call__(self, loss: torch.Tensor) -> float:
        """Run backward and step; return the loss as a number."""
        self.backward(loss)
        self.step()
        return float(loss.detach())
