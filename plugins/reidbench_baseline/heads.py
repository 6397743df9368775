"""Classifiers of cosines with a margin for the true class: ArcFace, CosFace and circle softmax."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .params import BotRecipe

START_STD = 0.01  # of a head's initial weights in fast-reid and insightface
LEAST_SQUARE = 1e-12  # of a sine, so that its root has a finite gradient


class CosineHead(nn.Module):
    """Classifier whose logits are `scale` times the cosines of vectors and class weights [classes, dim]."""

    def __init__(self, weight: torch.Tensor, scale: float, margin: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.scale, self.margin = scale, margin

    def cosines(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map vectors [B, dim] to cosines [B, classes]."""
        return F.normalize(vectors, dim=1) @ F.normalize(self.weight, dim=1).t()

    def own(self, cosines: torch.Tensor) -> torch.Tensor:
        """Apply the margin to cosines with the true class, of any shape."""
        raise NotImplementedError

    def other(self, cosines: torch.Tensor) -> torch.Tensor:
        """Change cosines with other classes, of any shape; they are unchanged by default."""
        return cosines

    def forward(self, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Map vectors [B, dim] and labels [B] from 0 to logits [B, classes] for a cross-entropy."""
        cosines = self.cosines(vectors)
        mine = F.one_hot(labels, len(self.weight)).bool()
        return self.scale * torch.where(mine, self.own(cosines), self.other(cosines))


class CosFace(CosineHead):
    """Cosine minus m for the true class (Wang et al., CVPR 2018, eq. 4)."""

    def own(self, cosines: torch.Tensor) -> torch.Tensor:
        """Return c - m."""
        return cosines - self.margin


class ArcFace(CosineHead):
    """Cosine of the angle plus m, in radians, for the true class (Deng et al., CVPR 2019, eq. 3)."""

    def own(self, cosines: torch.Tensor) -> torch.Tensor:
        """Return cos(t + m) for t = acos c up to pi - m, and c - m sin m beyond, where cos(t + m) would rise again.

        The value and its gradient are finite for any cosine, also for +-1 and values that rounding moves outside.
        """
        sines = (1 - cosines.square()).clamp_min(LEAST_SQUARE).sqrt()
        moved = cosines * math.cos(self.margin) - sines * math.sin(self.margin)
        turned = cosines <= -math.cos(self.margin)  # the angle exceeds pi - m
        return torch.where(turned, cosines - self.margin * math.sin(self.margin), moved)


class CircleSoftmax(CosineHead):
    """Logits with a stronger gradient the farther a cosine is from its optimum (Sun et al., CVPR 2020, eq. 6).

    With c the cosine of a vector and a class: s [1 + m - c]+ (c - 1 + m) for the true class, s [c + m]+ (c - m) for
    others. The factors in brackets are weights without gradient.
    """

    def own(self, cosines: torch.Tensor) -> torch.Tensor:
        """Return [1 + m - c]+ (c - 1 + m)."""
        return (1 + self.margin - cosines.detach()).clamp_min(0) * (cosines - 1 + self.margin)

    def other(self, cosines: torch.Tensor) -> torch.Tensor:
        """Return [c + m]+ (c - m)."""
        return (cosines.detach() + self.margin).clamp_min(0) * (cosines - self.margin)


HEADS: dict[str, type[CosineHead]] = {"arcface": ArcFace, "cosface": CosFace, "circle": CircleSoftmax}


def cosine_head(params: BotRecipe, dim: int, classes: int) -> CosineHead:
    """Build the head that the parameters name, for vectors of length `dim`, with weights of N(0, 0.01)."""
    scale, margin = params.of_head
    return HEADS[params.head](torch.empty(classes, dim).normal_(std=START_STD), scale, margin)
