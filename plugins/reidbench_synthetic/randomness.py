"""Random numbers that are the same on every machine and with every numpy version.

numpy guarantees the raw words of PCG64, but not the output of its distribution methods. This module turns the words
into floats with exactly rounded operations only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np

from reidbench.rendering.arrays import Floats

T = TypeVar("T")
_MANTISSA = 2.0**-53
_SQRT_2 = math.sqrt(2.0)


class Tag(IntEnum):
    """Purpose of a stream. The numbers affect every image: never change or reuse one."""

    IDENTITY = 101
    STRANGER = 102
    OUTFIT = 103
    INFRARED = 104
    LOOKS = 105
    CAMERA = 202
    SCENERY = 203
    NIGHT = 204
    SIGHTING = 303
    TRACK = 304
    WALK = 305
    FRAME = 306
    NOISE = 404
    IRRELEVANT = 505


class Stream:
    """An endless sequence of random numbers, keyed by whole numbers from 0 to 2**32 - 1."""

    def __init__(self, *key: int) -> None:
        self._words = np.random.PCG64(np.random.SeedSequence([int(part) for part in key]))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a float in [low, high): the upper 53 bits of one word."""
        return low + (high - low) * ((int(self._words.random_raw()) >> 11) * _MANTISSA)

    def uniforms(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Floats:
        """Return an array of floats in [low, high), equal to repeated calls of `uniform`."""
        words = np.asarray(self._words.random_raw(math.prod(shape)), dtype=np.uint64)
        floats: Floats = (words >> np.uint64(11)).astype(np.float64).reshape(shape) * _MANTISSA
        return low + (high - low) * floats

    def normal(self, mean: float, deviation: float) -> float:
        """Return an approximately normal number, within 4.3 deviations: a sum of six uniforms, without libm."""
        total = 0.0
        for _ in range(6):
            total += self.uniform()
        return mean + deviation * ((total - 3.0) * _SQRT_2)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options with equal probability."""
        return options[min(int(self.uniform() * len(options)), len(options) - 1)]

    def weighted(self, options: Mapping[T, float]) -> T:
        """Return one of the keys with a probability proportional to its value; the values need not sum to 1."""
        threshold = self.uniform() * sum(options.values())
        reached = 0.0
        likely = [option for option, weight in options.items() if weight > 0]
        for option in likely:
            reached += options[option]
            if threshold < reached:
                return option
        return likely[-1]
