"""Batches of the target, or of a labelled source and the target together, in one or several augmented views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from reidbench import AdaptContext
from reidbench.data import HiddenSplit, Split
from reidbench.training import Preprocess, read_ahead
from reidbench.training.batches.feed import Plan

from .loop import PseudoLabelBatches
from .params import LoopParams


class Step(NamedTuple):
    """Images of a step, [B, 3, H, W] for each view, source before target; indices of its source and target images."""

    views: tuple[torch.Tensor, ...]
    source: np.ndarray
    target: np.ndarray


Planned = list[tuple[Plan | None, Plan]]  # by view: the source's part, and the target's


class DomainBatches:
    """Steps of the target alone, or of full batches of both domains, each with separate passes."""

    def __init__(self, ctx: AdaptContext[LoopParams], preprocess: Preprocess, source: Split | None) -> None:
        self.workers = ctx.workers
        self.target = _batches(ctx, preprocess, ctx.target)
        self.source = None if source is None else _batches(ctx, preprocess, source)
        self.source_labels = np.zeros(0, dtype=np.int64) if source is None else source.labels()
        self.classes = 0 if source is None else source.num_pids

    def steps(self, labels: np.ndarray, generator: torch.Generator, views: int = 1) -> Iterator[Step]:
        """Yield all steps of a round on target images with labels [N]; images labelled -1 are not used.

        Each view augments the same images with other numbers, all drawn from `generator`.
        """
        yield from read_ahead(self._made, self.plans(labels, generator, views), self.workers)

    def plans(self, labels: np.ndarray, generator: torch.Generator, views: int = 1) -> Iterator[Planned]:
        """Yield the plan of each of these steps."""
        targets = self.target.indices(labels, generator)
        if self.source is None:
            for target in targets:
                yield [(None, self.target.feed.plan(target, generator)) for _ in range(views)]
            return
        sources = self.source.indices(self.source_labels, generator)
        for source, target in zip(sources, targets, strict=True):
            yield [
                (self.source.feed.plan(source, generator), self.target.feed.plan(target, generator))
                for _ in range(views)
            ]

    def _made(self, planned: Planned) -> Step:
        source, target = planned[0]
        none = np.zeros(0, dtype=np.int64)
        images = tuple(self._images(*plans) for plans in planned)
        return Step(images, none if source is None else source.indices, target.indices)

    def _images(self, source: Plan | None, target: Plan) -> torch.Tensor:
        of_target = self.target.feed.make(target)
        if self.source is None or source is None:
            return of_target
        return torch.cat([self.source.feed.make(source), of_target])


def _batches(ctx: AdaptContext[LoopParams], preprocess: Preprocess, images: HiddenSplit | Split) -> PseudoLabelBatches:
    return PseudoLabelBatches(images, preprocess, ctx.params, ctx.workers, ctx.fabric.device)
