"""Losses of CycleGAN and SPGAN; pairs are those of equal index in a batch."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

NEAR = 1e-6  # added to a squared distance before its root, as in the official code


def realness_loss(realness: torch.Tensor, wanted: float) -> torch.Tensor:
    """Mean squared difference of a map [B, 1, h, w] to 1 (real) or 0 (translated): least-squares GAN."""
    return (realness - wanted).square().mean()


class Vectors(NamedTuple):
    """Unit vectors [B, D] of source, its translation, target, and its translation."""

    source: torch.Tensor
    to_target: torch.Tensor
    target: torch.Tensor
    to_source: torch.Tensor


def similarity_loss(
    vectors: Vectors, margin: float, negatives: Literal["translated", "real"]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the contrastive terms of positive and of negative pairs, each a mean over its two kinds of pairs.

    Positive pairs are an image and its translation: d^2. Negative pairs are a translation and an image of its new
    domain, or (`real`) an image of either domain: max(0, margin - d)^2 with the Euclidean distance d. SPGAN's loss
    (Deng et al., CVPR 2018, section 3.2) is the mean of both.
    """
    source, to_target, target, to_source = vectors
    pulled = (_squared(source, to_target) + _squared(target, to_source)).mean() / 2
    if negatives == "real":
        pushed = _hinge(source, target, margin).mean()
    else:
        pushed = (_hinge(to_target, target, margin) + _hinge(to_source, source, margin)).mean() / 2
    return pulled, pushed


def _squared(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one - other).square().sum(1)


def _hinge(one: torch.Tensor, other: torch.Tensor, margin: float) -> torch.Tensor:
    """max(0, margin - d)^2 for each pair, [B]."""
    return (margin - (_squared(one, other) + NEAR).sqrt()).clamp_min(0).square()
