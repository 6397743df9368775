"""HHL's triplet loss: the rows and identities that take part, and the batch-hard loss over them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from reidbench.training.optim.losses import euclidean_distances

from .composition import Composition


@dataclass(frozen=True)
class Rows:
    """The rows of a triplet batch, source first: identities [B], anchors [B] and target rows [B] (both bool).

    A target image is followed by its fakes: image 0, its fakes 1 to C, image 1, and so on.
    """

    labels: torch.Tensor
    anchors: torch.Tensor
    target: torch.Tensor


def triplet_rows(loss: str, composition: Composition, source_labels: torch.Tensor, classes: int) -> Rows:
    """Return the rows of a loss: source labels [P x K], then a pseudo identity for each target image and its fakes.

    Pseudo identities start at `classes`, above all source labels (0 to classes - 1). In L_D a target image has no
    positive, so only source rows are anchors; otherwise all rows are.
    """
    views = 1 + composition.fakes
    pseudo = classes + torch.arange(composition.real).repeat_interleave(views)
    labels = torch.cat([source_labels, pseudo.to(source_labels)])
    target = torch.arange(len(labels), device=labels.device) >= len(source_labels)
    return Rows(labels, ~target if loss == "L_D" else torch.ones_like(target), target)


def batch_hard(features: torch.Tensor, rows: Rows, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean over anchors of max(0, margin + farthest positive - nearest negative), and a share.

    features [B, D], not normalised; distances are Euclidean, not squared, in float32. Every row is its own positive at
    distance 1e-6, as in the official code. The share is the fraction of anchors whose nearest negative is of the other
    domain.
    """
    with torch.autocast(features.device.type, enabled=False):
        distances = euclidean_distances(features.float(), features.float())
        same = rows.labels[:, None] == rows.labels[None]
        farthest = distances.masked_fill(~same, -torch.inf).amax(1)
        nearest, which = distances.masked_fill(same, torch.inf).min(1)
        hinge = F.relu(margin + farthest - nearest)[rows.anchors].mean()
        crossed = (rows.target[which] != rows.target)[rows.anchors].float().mean()
    return hinge, crossed
