"""Pool of a pre-training: shuffled training batches, held-out images for a monitor, and monitored epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from reidbench.contexts import PretrainContext
from reidbench.data import HiddenSplit
from reidbench.data.pictures.images import resize
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import DataError
from reidbench.training.batches.originals import Originals
from reidbench.training.batches.reading import Made, image_source, made_ahead, read_ahead, upload
from reidbench.training.batches.samplers import ShuffledSampler
from reidbench.training.devices import this_share
from reidbench.training.random import stream

from .heldout import hold_out

Numbers = dict[str, float]
Fetch = Callable[[np.ndarray], tuple[torch.Tensor, "Originals | None"]]


class Pictures(NamedTuple):
    """Images [B, 3, H, W] in 0..1 on the device; with `crop_from: original` also the images that crops are cut from."""

    images: torch.Tensor
    originals: Originals | None


class Pool:
    """Images of `ctx.pool`: indices of the `seen` and the `held_out` ones.

    `ctx.params` has `batch`, over all devices, and `held_out`, a share. `order` is the generator of the shuffling.
    """

    def __init__(self, ctx: PretrainContext[Any], name: str) -> None:
        """Raises DataError if the component `name` has no pool, or fewer training images than a batch.

        Raises ReidbenchError if the batch cannot be divided among the devices.
        """
        if ctx.pool is None:
            raise DataError(f"{name} needs a pool")
        self.ctx = ctx
        self.batch: int = ctx.params.batch
        self.own = this_share().part(self.batch)
        original = ImageSize.given(ctx.image_size).crop_from == "original"
        self.fetch = (_originals if original else _resized)(ctx, ctx.pool)
        self.seen, self.held_out = hold_out(len(ctx.pool), ctx.params.held_out, ctx.seed)
        self.order = stream(ctx.seed, "order")
        if len(self.seen) < self.batch:
            raise DataError(f"{len(self.seen)} pool images to train on, fewer than one batch of {self.batch}")

    def batches(self) -> Iterator[Pictures]:
        """This device's share of each batch of a pass, in a new order; an incomplete last batch is dropped."""
        order = ShuffledSampler(len(self.seen), self.batch, self.order)
        return self._pictures(self.seen[chosen][self.own] for chosen in order)

    def plain(self, indices: np.ndarray, batches: int | None = None) -> Iterator[Pictures]:
        """The images of `indices` in order: all of them, or at most `batches` full batches."""
        batch = self.batch
        stop = len(indices) if batches is None else min(batches, len(indices) // batch) * batch
        return self._pictures(indices[start : min(start + batch, stop)] for start in range(0, stop, batch))

    def _pictures(self, parts: Iterable[np.ndarray]) -> Iterator[Pictures]:
        """The images of each index array."""
        for pixels, originals in read_ahead(self.fetch, parts, self.ctx.workers):
            images = upload(pixels, self.ctx.fabric.device).permute(0, 3, 1, 2).float().div_(255)
            yield Pictures(images, originals)


def _resized(ctx: PretrainContext[Any], pool: HiddenSplit) -> Fetch:
    """Pixels uint8 [B, H, W, 3] by indices, cached in memory if they fit."""
    fetch = image_source(pool, ctx.image_size, workers=ctx.workers)
    return lambda indices: (fetch(indices), None)


def _originals(ctx: PretrainContext[Any], pool: HiddenSplit) -> Fetch:
    """The same pixels with the stored images they come from; each batch is decoded again."""

    def fetch(indices: np.ndarray) -> tuple[torch.Tensor, Originals]:
        originals = Originals.read(pool, indices, ctx.workers, ctx.fabric.device)
        pixels = np.stack([resize(picture, ctx.image_size) for picture in originals.pictures])
        return torch.from_numpy(pixels), originals

    return fetch


def on_cpu_ahead(ctx: PretrainContext[Any], views: Iterator[Made]) -> Iterator[Made]:
    """Yield views of batches; on a CPU with workers, a thread computes them while a step runs.

    Another device computes them itself, in the order of the calls. No other code may draw from their generators.
    """
    return made_ahead(views, ctx.workers if ctx.fabric.device.type == "cpu" else 0)


def monitored_epochs(
    ctx: PretrainContext[Any], state: Mapping[str, Any], train: Callable[[int], Numbers], monitor: Callable[[], Numbers]
) -> Iterator[tuple[int, Numbers]]:
    """Yield each remaining epoch with the log line of `train(epoch)`.

    The line also has the results of `monitor`: before the first epoch (`..._at_start`), every `monitor_every` epochs,
    and after the last one.
    """
    params = ctx.params
    for epoch in ctx.checkpoint.epochs(params.epochs, **state):
        line = {f"{name}_at_start": value for name, value in monitor().items()} if epoch == 0 else {}
        line |= train(epoch)
        if (epoch + 1) % params.monitor_every == 0 or epoch + 1 == params.epochs:
            line |= monitor()
        ctx.log(line)
        yield epoch, line
