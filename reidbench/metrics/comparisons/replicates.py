"""Results of a row by pre-training and seed: spread over both, and differences of two rows paired by both."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.comparisons import effects
from reidbench.metrics.statistics import SAMPLES, UNBOUNDED, Difference, Doubles, over_seeds, paired_seeds, within

Replicate = tuple[int | None, int | None]  # pre-training seed and seed; None if the result does not depend on it
Axis = tuple[int | None, ...]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """Values [P, S] by pre-training and seed, NaN where a result is missing; an axis without seeds is (None,)."""

    pretrainings: Axis
    seeds: Axis
    values: Doubles

    @property
    def whole(self) -> bool:
        """Whether there is a result with each seed for each pre-training."""
        return not bool(np.isnan(self.values).any())


def grids(*sides: Mapping[Replicate, float]) -> list[Grid]:
    """Return each side's results over the pre-trainings and seeds of all sides.

    A side that does not depend on a seed has the same value for each seed of the others.
    """
    pretrainings, seeds = (_axis(key[place] for side in sides for key in side) for place in (0, 1))
    found = []
    for side in sides:
        values = [[_of(side, pretrained, seed) for seed in seeds] for pretrained in pretrainings]
        found.append(Grid(pretrainings, seeds, np.array(values, np.float64)))
    return found


def _axis(seeds: Iterable[int | None]) -> Axis:
    return tuple(sorted({seed for seed in seeds if seed is not None})) or (None,)


def _of(side: Mapping[Replicate, float], pretrained: int | None, seed: int | None) -> float:
    places = ((one, other) for one in dict.fromkeys((pretrained, None)) for other in dict.fromkeys((seed, None)))
    return next((side[place] for place in places if place in side), math.nan)


# ---------------------------------------------------------------------- one row
def spread(
    values: Mapping[Replicate, float], bounds: tuple[float, float] = UNBOUNDED
) -> tuple[float, float | None, tuple[float, float] | None]:
    """Return the mean, sample standard deviation and 95 % interval (Student's t, clipped to `bounds`) of a row.

    The interval covers other seeds, and other pre-trainings if there are several (`effects.effect`). There is none if
    some pre-trainings lack seeds that others have. One result has no deviation either.
    """
    every = list(values.values())
    mean = math.fsum(every) / len(every)
    if len(every) < 2:
        return mean, None, None
    (grid,) = grids(values)
    sd = statistics.stdev(every)
    if 1 in grid.values.shape:
        found = over_seeds(every, bounds=bounds)
        return found.value, sd, (found.low, found.high)
    if not grid.whole:
        return mean, sd, None
    interval = effects.interval(effects.effect([grid.values], [1.0]), 0.025)
    return mean, sd, within(interval.low, interval.high, bounds)


def place(key: Replicate) -> tuple[int, int]:
    """Return a sort key: by pre-training, then by seed, None first."""
    pretrained, seed = key
    return -1 if pretrained is None else pretrained, -1 if seed is None else seed


# ---------------------------------------------------------------------- several rows
@dataclass(frozen=True)
class Common:
    """Values [R, P, S] of R rows with the same pre-trainings and seeds.

    `without` names the pre-trainings and seeds that some row lacks; they have `unpaired` results.
    """

    values: Doubles
    without: tuple[str, ...] = ()
    unpaired: int = 0

    @property
    def pretrainings(self) -> int:
        """Number of pre-trainings."""
        return len(self.values[0])

    def difference(self, first: int = 0, second: int = 1, samples: int = SAMPLES) -> Difference:
        """Mean of one row minus another, with its 95 % interval over pre-trainings and seeds; none for one pair.

        `share` is from `samples` of a bootstrap, and unknown for several seeds of several pre-trainings.
        """
        one, other = self.values[first], self.values[second]
        if 1 in one.shape:
            return paired_seeds(one.ravel(), other.ravel(), samples=samples)
        interval = effects.interval(effects.effect([one - other], [1.0]), 0.025)
        return Difference(interval.value, interval.low, interval.high, one.size)


def common(*rows: Mapping[Replicate, float]) -> Common | None:
    """Return the results of rows with the same pre-trainings and seeds; None if there are none.

    If pre-trainings lack some seeds, either they or these seeds are left out for all: the choice that keeps more. If
    that leaves none, the ones with the most missing results are left out, one after the other.
    """
    sides = grids(*rows)
    values = np.stack([side.values for side in sides])
    there: Mask = np.asarray(~np.isnan(values).any(0))
    if not there.any():
        return None
    pretrainings, seeds = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    inner = there[np.ix_(pretrainings, seeds)]
    whole = np.asarray(inner.all(1)), np.asarray(inner.all(0))
    sizes = int(whole[0].sum()) * len(seeds), int(whole[1].sum()) * len(pretrainings)
    if max(sizes) == 0:
        pretrainings, seeds = _without_holes(there, pretrainings, seeds)
    elif sizes[0] >= sizes[1]:
        pretrainings = pretrainings[whole[0]]
    else:
        seeds = seeds[whole[1]]
    kept = values[:, pretrainings][:, :, seeds]
    results = int(np.count_nonzero(~np.isnan(values).all(0)))
    without = [*_named("pre-training", sides[0].pretrainings, pretrainings), *_named("seed", sides[0].seeds, seeds)]
    return Common(kept, tuple(without), results - len(pretrainings) * len(seeds))


def _without_holes(
    there: Mask, pretrainings: NDArray[np.intp], seeds: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Leave out the pre-training or seed with the largest share of missing results until none is missing."""
    while not (inner := there[np.ix_(pretrainings, seeds)]).all():
        shares = np.asarray(inner.mean(1)), np.asarray(inner.mean(0))
        if shares[0].min() <= shares[1].min():
            pretrainings = np.delete(pretrainings, int(np.argmin(shares[0])))
        else:
            seeds = np.delete(seeds, int(np.argmin(shares[1])))
    return pretrainings, seeds


def _named(word: str, axis: Axis, kept: NDArray[np.intp]) -> list[str]:
    """Return the names of the pre-trainings or seeds that are left out."""
    return [f"{word} {seed}" for place, seed in enumerate(axis) if place not in kept]
