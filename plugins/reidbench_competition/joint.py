"""Adds pseudo-labelled images to the labelled set and trains the whole recipe on both."""

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
    """Concatenation of several sets of images."""

    parts: Sequence[HasImages]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def image(self, index: int) -> np.ndarray:
        """Return image `index` as uint8 [height, width, 3]."""
        for part in self.parts:
            if index < len(part):
                return part.image(index)
            index -= len(part)
        raise IndexError(index)


def joined_labels(labelled: np.ndarray, pseudo: np.ndarray) -> np.ndarray:
    """Return labels [N + M] of the labelled images [N] and, as new identities, of the clusters of the others [M].

    An image without a cluster keeps -1.
    """
    further = int(labelled.max(initial=-1)) + 1
    return np.concatenate([labelled, np.where(pseudo < 0, -1, pseudo + further)])


def adapt(ctx: AdaptContext[JointParams]) -> Embedder:
    """Label the target by circular search on the current features, and train on target and source with one loss.

    Starts from the current backbone, with new necks and classifiers. Images without a match are excluded; if no image
    has one, only the source is used, with a note.
    Raises DataError without a labelled source, or without an embedder to start from.
    """
    source = labelled_source(ctx, "competition-joint")
    if ctx.start is None:
        raise DataError("competition-joint starts from a trained embedder: add `finetune:` or an adapter before it")
    pseudo = pseudo_labels(ctx, ctx.start)
    ctx.record_clusters(0, pseudo)
    if (pseudo < 0).all():
        ctx.note("no image of the target found another one: the labelled source alone was trained on")
    return train_recipe(ctx, Joined([source, ctx.target]), joined_labels(source.labels(), pseudo))


def pseudo_labels(ctx: AdaptContext[JointParams], start: Embedder) -> np.ndarray:
    """Return the clusters [M] of the target's images, -1 for an image without a match."""
    params, target = ctx.params, ctx.target
    features = unit(embed(start, target, target.camids, device=ctx.fabric.device, workers=ctx.workers))
    return circular_search(features, params.threshold, params.chains, params.mutual, params.self_match, params.ties)
