"""Shuffled passes over images, addressed by the number of a step.

A batch depends only on the seed, the purpose and the step's number, so that a resumed run needs no state.
"""

from __future__ import annotations

import numpy as np

from reidbench.errors import DataError
from reidbench.training.batches.samplers import ShuffledSampler
from reidbench.training.random import stream


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
