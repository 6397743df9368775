"""Training loop over identity batches, and checks of its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch

from reidbench.components import Params
from reidbench.contexts import AdaptContext, FinetuneContext
from reidbench.data import Split
from reidbench.errors import DataError, ReidbenchError
from reidbench.training.devices import gather, this_share
from reidbench.training.optim.loop import Loop

from .epochs import EpochChoice

Vectors = list[torch.Tensor]


def labelled_source(ctx: FinetuneContext[Params] | AdaptContext[Params], name: str, kind: str = "source") -> Split:
    """Source of the component `name`. Raises DataError if it has fewer than two identities."""
    if ctx.source is None or ctx.source.num_pids < 2:
        raise DataError(f"{name} needs a {kind} with at least two identities")
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
    accumulate: int = 1,
    choice: EpochChoice | None = None,
) -> None:
    """Train by `losses(vectors(images, indices), labels)`: minimises "loss" and logs all values.

    `batches` yields (images [B, 3, H, W], indices [B]), `labels` [N] are classes from 0 by index. Networks run in the
    stage's precision, losses get float32; on several devices each gets the vectors [ranks x B, D] of the whole batch.

    With `accumulate: N` a batch of images grouped by identity is computed in N parts of whole identities, one after the
    other, whose gradients give one step, so that only one part must fit into memory. A mean over images, such as a
    cross-entropy, has the gradient of the whole batch. Triplets and other comparisons of images use one part at a time,
    and so does batch norm, whose running statistics are updated N times per step. Raises ReidbenchError for a batch
    with fewer than two identities per part.

    With a `choice` the embedder is evaluated on validation images after epochs, and ends with the weights of the chosen
    one.
    """
    if choice is not None:
        loop.state["choice"] = choice
    to_device = loop.ctx.fabric.to_device
    targets = to_device(torch.from_numpy(labels))

    def values(images: torch.Tensor, indices: torch.Tensor) -> Mapping[str, torch.Tensor]:
        with loop.precision():
            found = vectors(to_device(images), indices)
        whole = [gather(vector.float()) for vector in found]
        return losses(whole, gather(targets[indices]))

    for epoch in loop.epochs():
        before_epoch(epoch)
        for images, indices in batches:
            if accumulate == 1:
                loop.step(values(images, indices), before_step)
                continue
            parts = identity_parts(labels[indices.numpy()], accumulate)
            shares = [len(part) / len(indices) for part in parts]
            of_parts = (values(images[part], indices[part]) for part in parts)
            loop.step_in_parts(zip(shares, of_parts, strict=True), before_step)
        if choice is not None:
            choice.look(loop, epoch)
    if choice is not None:
        choice.settle(loop)


def identity_parts(labels: np.ndarray, parts: int) -> list[np.ndarray]:
    """Positions of each part's images in a batch's labels [B], grouped by identity; of N parts every Nth identity.

    A part has the same identities for any number of devices. Raises ReidbenchError if a part would have fewer than two
    identities, and on several devices, if this device's share cannot be divided evenly.
    """
    groups = np.split(np.arange(len(labels)), np.flatnonzero(np.diff(labels)) + 1)
    if len(groups) < 2 * parts:
        raise ReidbenchError(
            f"a batch of {len(groups)} identities cannot be split into {parts} parts of two or more: "
            f"set `accumulate` to {max(1, len(groups) // 2)} or less"
        )
    ranks = this_share().ranks
    if ranks > 1 and (len(groups) % parts or len({len(group) for group in groups}) > 1):
        raise ReidbenchError(
            f"{parts} parts on {ranks} devices: set `identities` to a multiple of {parts * ranks}, or `accumulate` to 1"
        )
    return [np.concatenate(groups[part::parts]) for part in range(parts)]
