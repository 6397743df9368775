"""Selectors for comparison: random, everything, and by the truth."""

from __future__ import annotations

import numpy as np
import torch

from reidbench import SelectContext, Selection
from reidbench.errors import DataError
from reidbench.training import stream

from . import ranking
from .params import NoParams, OracleParams, RandomParams


def random(ctx: SelectContext[RandomParams]) -> Selection:
    """A permutation of the seed, cut at `keep`: shares of one seed are nested. Scores fall from 1 along it."""
    params = ctx.params
    count = len(ctx.pool)
    order = torch.randperm(count, generator=stream(ctx.seed, "random selection")).numpy()
    scores = np.empty(count)
    scores[order] = 1 - np.arange(count) / count
    return ranking.select(scores, params.keep)


def everything(ctx: SelectContext[NoParams]) -> Selection:
    """Keep all images with score 1: training then equals training without a selector."""
    return ranking.select(np.ones(len(ctx.pool)), 1.0)


def oracle(ctx: SelectContext[OracleParams]) -> Selection:
    """Relevant images (score 1) before irrelevant ones (score 0), each group in a random order of the seed.

    `keep: null` keeps exactly one group. Raises DataError if that group is empty.
    """
    params = ctx.params
    count, lowest = len(ctx.pool), params.order == "lowest"
    scores = np.array([float(ctx.truth.relevance(index)) for index in range(count)])
    if params.keep is not None:
        chance = torch.randperm(count, generator=stream(ctx.seed, "oracle ties")).numpy()
        return ranking.select(scores, params.keep, lowest=lowest, tie_break=chance)
    kept = np.flatnonzero(scores == (0.0 if lowest else 1.0))
    if not len(kept):
        raise DataError(
            f"none of the {count} pool images is {'irrelevant' if lowest else 'relevant'}: set keep "
            "to a share of the pool"
        )
    return Selection(kept, scores)
