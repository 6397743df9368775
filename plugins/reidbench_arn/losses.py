"""Losses of ARN (Li et al., CVPR Workshops 2018), each at a scale that suits its weight."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def contrastive(codes: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    """Mean over pairs i < j of [same] d^2 + [different] max(0, margin - d)^2 (Hadsell et al., CVPR 2006).

    codes [B, D] and labels [B], B >= 2, to a scalar. d is the root of the mean squared difference, so that one margin
    fits codes of any length. The formula printed in ARN has no norm: its distance is a vector.
    """
    distances = F.pdist(codes.float()) / codes.shape[1] ** 0.5
    first, second = torch.triu_indices(len(codes), len(codes), 1, device=codes.device)
    same = labels[first] == labels[second]
    return torch.where(same, distances.square(), F.relu(margin - distances).square()).mean()


def reconstruction(wanted: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """Squared error |X - X_hat|^2 of one domain, averaged over its images and all C x H x W elements.

    ARN sums over the elements; the sum is about 1e5 times larger, too large for its weight of 2.
    """
    return F.mse_loss(rebuilt.float(), wanted.float())


def summed_reconstruction(wanted: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """Sum of |X - X_hat|^2 over a domain's images and all C x H x W elements, as ARN prints it (equation 3)."""
    return F.mse_loss(rebuilt.float(), wanted.float(), reduction="sum")


def cosine_difference(shared: torch.Tensor, private: torch.Tensor) -> torch.Tensor:
    """Mean over rows of cos^2 between the codes [N, D] of the same image, both centred over the batch.

    Codes after a ReLU all point to one side, so without centring independent codes would look similar. A copy scores 1,
    independent codes score about the larger of 1 / D and 1 / N.
    """
    return (_rows(shared) * _rows(private)).sum(1).square().mean()


def frobenius_difference(shared: torch.Tensor, private: torch.Tensor) -> torch.Tensor:
    """|H_c^T H_p|_F^2 / D^2 of centred unit rows [N, D]: the difference loss of Domain Separation Networks.

    With N much below D it hardly separates a copy, N (1 + N / D) before the division, from independent codes, N.
    """
    with torch.autocast(shared.device.type, enabled=False):
        return _squared_norm(_rows(shared), _rows(private)) / shared.shape[1] ** 2


def raw_difference(shared: torch.Tensor, private: torch.Tensor) -> torch.Tensor:
    """|H_c^T H_p|_F^2 of the raw codes [N, D], neither centred nor scaled: ARN's equation 4."""
    with torch.autocast(shared.device.type, enabled=False):
        return _squared_norm(shared.float(), private.float())


def _squared_norm(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """|first^T second|_F^2 of matrices [N, D]."""
    if len(first) < first.shape[1]:  # <H_c H_c^T, H_p H_p^T> is the same number, from smaller matrices
        return ((first @ first.t()) * (second @ second.t())).sum()
    return (first.t() @ second).square().sum()


def _rows(codes: torch.Tensor) -> torch.Tensor:
    """Codes [N, D] minus their mean, each of unit length."""
    codes = codes.float()
    return F.normalize(codes - codes.mean(0), dim=1)
