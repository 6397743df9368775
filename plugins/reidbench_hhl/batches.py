"""Indices of batches: shuffled passes, identities, images of different clusters.

A batch depends only on the seed, the purpose and the step's number, so that a resumed run needs no state.
"""

from __future__ import annotations

import numpy as np
import torch

from reidbench.errors import DataError
from reidbench.training import ShuffledSampler, stream


class Passes:
    """Batches of `count` items in random order, pass after pass; an incomplete last batch of a pass is dropped."""

    def __init__(self, count: int, batch: int, seed: int, name: str) -> None:
        if count < batch:
            raise DataError(f"{name}: a batch of {batch} exceeds the {count} available; lower its size")
        self.count = count
        self.batch = batch
        self.seed = seed
        self.name = name
        self._pass: tuple[int, list[np.ndarray]] = (-1, [])

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return self.count // self.batch

    def at(self, step: int) -> np.ndarray:
        """Return the indices [batch] of a step, counted from 0."""
        number, place = divmod(step, len(self))
        if self._pass[0] != number:
            generator = stream(self.seed, f"{self.name}, pass {number}")
            self._pass = (number, list(ShuffledSampler(self.count, self.batch, generator)))
        return self._pass[1][place]


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
