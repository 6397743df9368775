"""Maximum mean discrepancy with several Gaussian kernels (Long et al., DAN), as a loss."""

from __future__ import annotations

import torch


def mmd(first: torch.Tensor, second: torch.Tensor, kernels: int = 5, join: str = "mean") -> torch.Tensor:
    """Biased squared MMD of samples [N, D] and [N, D]: mean K(x, x) + mean K(y, y) - 2 mean K(x, y).

    K(a, b) = mean or sum over u of exp(-|a - b|^2 / (s 2^u)), u from -(kernels // 2) up, s the mean squared distance
    of all pairs of the 2N samples, without gradient. Never negative; 0 for equal sets; at most 2 with `mean` and
    2 x kernels with `sum`. In float32, also under autocast.
    """
    with torch.autocast(first.device.type, enabled=False):
        samples = torch.cat([first, second]).float()
        squares = _squared_distances(samples)
        count = len(samples)
        # All samples equal would be 0 / 0; the clamp makes them a kernel of 1, and the MMD 0.
        width = (squares.detach().sum() / (count * count - count)).clamp_min(1e-12)
        octaves = range(-(kernels // 2), kernels - kernels // 2)
        values = torch.stack([torch.exp(-squares / (width * 2.0**u)) for u in octaves])
        kernel = values.sum(0) if join == "sum" else values.mean(0)
        half = len(first)
        within = kernel[:half, :half].mean() + kernel[half:, half:].mean()
        return within - 2 * kernel[:half, half:].mean()


def _squared_distances(samples: torch.Tensor) -> torch.Tensor:
    """[N, D] to [N, N], exactly 0 on the diagonal and never negative."""
    norms = samples.pow(2).sum(1)
    squares = (norms[:, None] + norms[None] - 2 * samples @ samples.t()).clamp_min(0)
    return squares.masked_fill(torch.eye(len(samples), dtype=torch.bool, device=samples.device), 0)
