"""Indices of batches: identities, images of different clusters.

A batch depends only on the seed, the purpose and the step's number, so that a resumed run needs no state.
"""

from __future__ import annotations

import numpy as np
import torch

from reidbench.training import stream
from reidbench.training.translation.passes import Passes


class IdentityPasses:
    """P identities x K images, grouped by identity; each identity occurs at most once in a pass.

    Images of an identity with fewer than K are drawn with replacement.
    """

    def __init__(self, labels: np.ndarray, identities: int, images: int, seed: int) -> None:
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self.passes = Passes(len(self.members), identities, seed, "identities of a triplet batch")
        self.images = images

    def at(self, step: int) -> np.ndarray:
        """Return the indices [P x K] of a step."""
        generator = stream(self.passes.seed, f"images of a triplet batch, step {step}")
        return np.concatenate([self._images(self.members[i], generator) for i in self.passes.at(step)])

    def _images(self, member: np.ndarray, generator: torch.Generator) -> np.ndarray:
        if len(member) < self.images:
            chosen = torch.randint(len(member), (self.images,), generator=generator)
        else:
            chosen = torch.randperm(len(member), generator=generator)[: self.images]
        rows: np.ndarray = member[chosen.numpy()]
        return rows


def one_of_each(clusters: np.ndarray, count: int, seed: int, step: int) -> np.ndarray:
    """Return `count` indices, from different clusters while enough exist; `clusters` [N] are numbers from 0."""
    generator = stream(seed, f"clusters of a target batch, step {step}")
    present = np.unique(clusters)
    order = present[torch.randperm(len(present), generator=generator).numpy()]
    chosen = []
    for number in range(count):
        member = np.flatnonzero(clusters == order[number % len(order)])
        chosen.append(member[int(torch.randint(len(member), (), generator=generator))])
    return np.array(chosen)
