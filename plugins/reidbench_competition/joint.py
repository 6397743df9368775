"""Pseudo-labelled images join the labelled set, and the whole recipe trains on both together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reidbench import AdaptContext
from reidbench.data.pictures.images import HasImages
from reidbench.errors import DataError
from reidbench.metrics.products import unit
from reidbench.metrics.pseudo_labels import circular_search
from reidbench.training import Embedder, embed, labelled_source

from .finetune import train_recipe
from .params import JointParams


@dataclass(frozen=True)
class Joined:
    """Several sets of images, one after the other, as one."""

    parts: Sequence[HasImages]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def image(self, index: int) -> np.ndarray:
        """Picture `index` as uint8 [height, width, 3]."""
        for part in self.parts:
            if index < len(part):
                return part.image(index)
            index -= len(part)
        raise IndexError(index)


def joined_labels(labelled: np.ndarray, pseudo: np.ndarray) -> np.ndarray:
    """Labels [N + M] of the labelled images [N] and, as further identities, of the clusters of the others [M].

    An image without a cluster stays -1.
    """
    further = int(labelled.max(initial=-1)) + 1
    return np.concatenate([labelled, np.where(pseudo < 0, -1, pseudo + further)])


def adapt(ctx: AdaptContext[JointParams]) -> Embedder:
    """Label the target by circular search on the features so far, and train on it and the source by one loss.

    Starts from the backbone so far, under new necks and classifiers. Images that found no other are left out; where
    none found one, the source alone trains, and a note says so.
    Raises DataError without a labelled source, or without an embedder to start from.
    """
    source = labelled_source(ctx, "competition-joint")
    if ctx.start is None:
        raise DataError("competition-joint goes on from a trained embedder: name `finetune:` before it")
    pseudo = pseudo_labels(ctx, ctx.start)
    ctx.record_clusters(0, pseudo)
    if (pseudo < 0).all():
        ctx.note("no image of the target found another one: the labelled source alone was trained on")
    return train_recipe(ctx, Joined([source, ctx.target]), joined_labels(source.labels(), pseudo))


def pseudo_labels(ctx: AdaptContext[JointParams], start: Embedder) -> np.ndarray:
    """Clusters [M] of the target's images, -1 for an image alone."""
    params, target = ctx.params, ctx.target
    features = unit(embed(start, target, target.camids, device=ctx.fabric.device, workers=ctx.workers))
    return circular_search(features, params.threshold, params.chains, params.mutual, params.self_match, params.ties)
