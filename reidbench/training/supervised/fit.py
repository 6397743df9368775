"""The loop over identity batches, and what it needs of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch

from reidbench.components import Params
from reidbench.contexts import AdaptContext, FinetuneContext
from reidbench.data import Split
from reidbench.errors import DataError
from reidbench.training.devices import gather
from reidbench.training.optim.loop import Loop

Vectors = list[torch.Tensor]


def labelled_source(ctx: FinetuneContext[Params] | AdaptContext[Params], name: str, kind: str = "source") -> Split:
    """The source of the component `name`. Raises DataError when it has fewer than two identities."""
    if ctx.source is None or ctx.source.num_pids < 2:
        raise DataError(f"{name} needs a {kind} of two or more identities")
    return ctx.source


def fit(
    loop: Loop,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    labels: np.ndarray,
    vectors: Callable[[torch.Tensor, torch.Tensor], Sequence[torch.Tensor]],
    losses: Callable[[Vectors, torch.Tensor], Mapping[str, torch.Tensor]],
    *,
    before_epoch: Callable[[int], None] = lambda epoch: None,
    before_step: Callable[[], None] = lambda: None,
) -> None:
    """Train by `losses(vectors(images, indices), labels)`, of which "loss" counts and all are logged.

    `batches` gives (images [B, 3, H, W], indices [B]), `labels` [N] are classes from 0 by index. Networks run in the
    stage's precision, losses get float32; on several devices each gets the vectors [ranks x B, D] of the whole batch.
    """
    to_device = loop.ctx.fabric.to_device
    targets = to_device(torch.from_numpy(labels))
    for epoch in loop.epochs():
        before_epoch(epoch)
        for images, indices in batches:
            with loop.precision():
                found = vectors(to_device(images), indices)
            whole = [gather(vector.float()) for vector in found]
            loop.step(losses(whole, gather(targets[indices])), before_step)
