"""Losses of MMT: hard and soft cross-entropy, and softmax triplets with hard and soft labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from reidbench.training import BatchHardTriplet, LabelSmoothingCrossEntropy
from reidbench.training.optim.losses import euclidean_distances

Distances = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Output(NamedTuple):
    """Vectors before the neck [B, D], which triplets compare, and logits [B, classes], both float32."""

    vectors: torch.Tensor
    logits: torch.Tensor


def distances_from_anchors(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return Euclidean distances [A, B] of [A, D] and [B, D], with the gradient of the first alone (OpenUnReID)."""
    return euclidean_distances(first, second.detach())


def soft_cross_entropy(logits: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return the soft classification loss: the mean over B of -sum_c p_c log q_c.

    q and p are the softmax of the logits and of the `teacher`'s [B, C], without a gradient of the teacher.
    """
    return F.cross_entropy(logits, teacher.detach().softmax(1))


def soft_triplet(
    vectors: torch.Tensor,
    labels: torch.Tensor,
    teacher: torch.Tensor,
    distances: Distances = euclidean_distances,
) -> torch.Tensor:
    """Return the softmax triplet loss with soft labels (Ge et al., ICLR 2020), the mean over B.

    For each image T = exp(d_an) / (exp(d_ap) + exp(d_an)), with its hardest positive and negative of `vectors` [B, D]
    and labels [B], of at least two identities. The loss is the binary cross-entropy of T against the T that the
    `teacher`'s vectors [B, D'] give the same two images, without a gradient of the teacher.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        own = distances(vectors.float(), vectors.float())
        of_teacher = euclidean_distances(teacher.detach().float(), teacher.detach().float())
    same = labels[:, None] == labels[None]
    positive, farthest = own.masked_fill(~same, -torch.inf).max(1)
    negative, nearest = own.masked_fill(same, torch.inf).min(1)
    rows = torch.arange(len(labels), device=labels.device)
    wanted = torch.sigmoid(of_teacher[rows, nearest] - of_teacher[rows, farthest])
    return F.binary_cross_entropy_with_logits(negative - positive, wanted)


class HardLosses:
    """Cross-entropy with label smoothing, and the batch-hard softmax triplet -log T with the labels of clusters."""

    def __init__(self, smoothing: float, *, anchor_only: bool) -> None:
        self.distances: Distances = distances_from_anchors if anchor_only else euclidean_distances
        self.cross_entropy = LabelSmoothingCrossEntropy(smoothing)
        self.triplet = BatchHardTriplet(None, self.distances)  # log(1 + exp(d_ap - d_an)) is -log T

    def __call__(self, output: Output, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both losses, scalars, for labels [B] of at least two identities."""
        return self.cross_entropy(output.logits, labels), self.triplet(output.vectors, labels)


def mutual_loss(
    hard: HardLosses,
    students: Sequence[Output],
    teachers: Sequence[Output],
    labels: torch.Tensor,
    *,
    soft_ce: float,
    soft_triplet_share: float,
) -> torch.Tensor:
    """Return the loss of both networks, a scalar: the sum of each one's four losses.

    The hard losses have the labels [B] and the weights 1 - `soft_ce` and 1 - `soft_triplet_share`. The soft ones have
    the weights `soft_ce` and `soft_triplet_share`, and the labels of the other network's teacher.
    """
    loss = torch.zeros((), device=labels.device)
    for student, teacher in zip(students, reversed(teachers), strict=True):
        entropy, triplet = hard(student, labels)
        soft = soft_cross_entropy(student.logits, teacher.logits)
        softened = soft_triplet(student.vectors, labels, teacher.vectors, hard.distances)
        loss = loss + (1 - soft_ce) * entropy + soft_ce * soft
        loss = loss + (1 - soft_triplet_share) * triplet + soft_triplet_share * softened
    return loss
