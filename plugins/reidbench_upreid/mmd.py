"""Maximum mean discrepancy with several Gaussian kernels (Long et al., DAN), as a loss."""

from __future__ import annotations

from typing import Any

import torch

BLOCK = 1 << 22  # differences in memory at once


def mmd(first: torch.Tensor, second: torch.Tensor, kernels: int = 5, join: str = "mean") -> torch.Tensor:
    """Biased squared MMD of samples [N, D] and [N, D]: mean K(x, x) + mean K(y, y) - 2 mean K(x, y).

    K(a, b) = mean or sum over u of exp(-|a - b|^2 / (s 2^u)), u from -(kernels // 2) up, s the mean squared distance
    of all pairs of the 2N samples, without gradient. Never negative; 0 for equal sets; at most 2 with `mean` and
    2 x kernels with `sum`. In float32, also under autocast.
    """
    with torch.autocast(first.device.type, enabled=False):
        squares = squared_distances(torch.cat([first, second]).float())
        count = len(squares)
        # Equal samples would give 0 / 0; the clamp makes their kernel 1, and the MMD 0.
        width = (squares.detach().sum() / (count * count - count)).clamp_min(1e-30)
        octaves = range(-(kernels // 2), kernels - kernels // 2)
        values = torch.stack([torch.exp(-squares / (width * 2.0**u)) for u in octaves])
        kernel = values.sum(0) if join == "sum" else values.mean(0)
        half = len(first)
        within = kernel[:half, :half].mean() + kernel[half:, half:].mean()
        return (within - 2 * kernel[:half, half:].mean()).clamp_min(0)  # rounding of the sums may give a negative value


def squared_distances(samples: torch.Tensor) -> torch.Tensor:
    """[N, D] to [N, N] from differences: exactly 0 on the diagonal, never negative.

    |a|^2 + |b|^2 - 2 a b would be faster, but loses all digits where samples are close together, as similarities are
    when features collapse.
    """
    found: torch.Tensor = _SquaredDistances.apply(samples)  # type: ignore[no-untyped-call]
    return found


class _SquaredDistances(torch.autograd.Function):
    """Forward and backward pass in blocks of rows, so that [N, N, D] differences are never in memory."""

    @staticmethod
    def forward(ctx: Any, samples: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(samples)
        return torch.cat([(rows[:, None] - samples).square().sum(2) for rows in torch.split(samples, _rows(samples))])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (samples,) = ctx.saved_tensors
        both = gradients[0] + gradients[0].t()
        size = _rows(samples)
        parts = [
            2 * (weights[:, None] @ (rows[:, None] - samples))[:, 0]
            for rows, weights in zip(torch.split(samples, size), torch.split(both, size), strict=True)
        ]
        return torch.cat(parts)


def _rows(samples: torch.Tensor) -> int:
    """Number of rows whose differences to all samples form one block."""
    return max(1, BLOCK // samples.numel())
