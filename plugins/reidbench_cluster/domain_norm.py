"""Domain-specific batch norm: the first half of a batch is the source, the second the target."""

from __future__ import annotations

import copy

import torch
from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class DomainNorm(nn.Module):
    """Pair of batch norms, initialised as copies of one; evaluation uses the target's."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.source = norm
        self.target = copy.deepcopy(norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise [B, ...]; in training each half separately."""
        if not self.training:
            return self.target(x)  # type: ignore[no-any-return]
        half = len(x) // 2
        return torch.cat([self.source(x[:half]), self.target(x[half:])])


def split_norms(network: nn.Module) -> None:
    """Replace every batch norm below `network` with a pair, in place."""
    for name, child in network.named_children():
        if isinstance(child, NORMS):
            setattr(network, name, DomainNorm(child))
        else:
            split_norms(child)


def keep_target_norms(network: nn.Module) -> None:
    """Replace every pair with its target's batch norm, in place; the result is an ordinary network."""
    for name, child in network.named_children():
        if isinstance(child, DomainNorm):
            setattr(network, name, child.target)
        else:
            keep_target_norms(child)
