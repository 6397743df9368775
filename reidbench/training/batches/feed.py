"""Batches in two steps: a plan, which draws; and pictures, which workers and devices make of it ahead of the step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reidbench.data.pictures.images import HasImages
from reidbench.errors import ReidbenchError
from reidbench.training.devices import WHOLE, Share
from reidbench.training.networks.embedder import Preprocess

from .augment import Augment, Augmentation
from .fast import FastWriter
from .reading import picture_source, read_ahead, spread
from .writing import Normaliser, PlainWriter, Writer


@dataclass(frozen=True)
class Plan:
    """A batch before it is made: the indices [B] of its pictures, and what was drawn for them by their augmentation."""

    indices: np.ndarray
    drawn: Any = None

    def part(self, part: slice) -> Plan:
        """The plan of some of the pictures."""
        return Plan(self.indices[part], None if self.drawn is None else self.drawn.part(part))


class Feed:
    """Normalised, augmented pictures of `images` as batches.

    A CPU decodes, normalises and augments picture by picture, in `workers` threads. For another `device` it decodes
    only, into memory from which a GPU can copy by itself, and the device does the rest. Neither changes a number.
    `limit` and `fast` are those of `picture_source`; fast pictures are augmented by other numbers
    (`Augment.draw_rows`).
    """

    def __init__(
        self,
        images: HasImages,
        preprocess: Preprocess,
        augment: Augmentation | None = None,
        *,
        limit: int | None = None,
        workers: int = 0,
        fast: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        self.size = preprocess.pictures
        self.augment = augment
        self.workers = workers
        self.fast = fast
        self.device = torch.device(device)
        self.normaliser = Normaliser(preprocess)
        self.inside = augment if isinstance(augment, Augment) else None  # done while a picture is written
        self.writer: Writer = (FastWriter if fast else PlainWriter)(preprocess, self.inside)
        self.read = picture_source(images, self.size, limit=limit, workers=workers, fast=fast)

    # ------------------------------------------------------------------ plans
    def plan(self, indices: np.ndarray, generator: torch.Generator | None = None, share: Share = WHOLE) -> Plan:
        """Draw what happens to the pictures of a whole batch; the plan is that of a `share` of it."""
        own = share.part(len(indices))
        if self.augment is None:
            return Plan(indices[own])
        if generator is None:
            raise ReidbenchError("an augmentation needs a generator to draw from")
        draw = self.inside.draw_rows if self.fast and self.inside is not None else self.augment.draw
        return Plan(indices, draw(len(indices), self.size, generator)).part(own)

    def batches(
        self,
        sampler: Iterable[np.ndarray],
        generator: torch.Generator | None = None,
        share: Share = WHOLE,
        *,
        ahead: bool = True,
    ) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """(images [B, 3, H, W], their indices [B]) for each index array of `sampler`, of a `share` of each.

        With workers the next batch is drawn and made while one is used, unless `ahead` is False. Generators are left as
        without workers, also when not all batches are taken; for that a sampler has what it draws from in its attribute
        `generator`. Raises ReidbenchError when somebody else draws from them between two batches.
        """
        watch = _Watch(generator, getattr(sampler, "generator", None))
        workers = self.workers if ahead else 0
        try:
            yield from read_ahead(
                lambda plan: (self.make(plan), plan.indices),
                self._plans(sampler, generator, share, watch if workers else None),
                workers,
            )
        except GeneratorExit:
            if workers:
                watch.restore()
            raise

    def _plans(
        self, sampler: Iterable[np.ndarray], generator: torch.Generator | None, share: Share, watch: _Watch | None
    ) -> Iterator[Plan]:
        arrays = iter(sampler)
        while True:
            if watch is not None:
                watch.check()
            whole = next(arrays, None)
            if whole is None:
                return
            plan = self.plan(whole, generator, share)
            if watch is not None:
                watch.note()
            yield plan

    # ------------------------------------------------------------------ pictures
    def make(self, plan: Plan) -> torch.Tensor:
        """Float32 [B, 3, H, W] on the device; draws nothing, and may run in any thread."""
        if self.device.type != "cpu":
            return self._on_device(plan)
        count = len(plan.indices)
        out = self.writer.empty(count)
        draws = plan.drawn if self.inside is not None else None

        def some(rows: range) -> None:
            # First all of them are decoded: what decoding evicts from the processor's caches is fetched once.
            pictures = [self.read(int(index)) for index in plan.indices[rows.start : rows.stop]]
            for row, pixels in zip(rows, pictures, strict=True):
                self.writer.write(pixels, out[row], draws, row)

        spread(some, count, self.workers)
        return out if self.augment is None or self.inside is not None else self.augment.apply(out, plan.drawn)

    def _on_device(self, plan: Plan) -> torch.Tensor:
        count = len(plan.indices)
        pixels = torch.empty((count, *self.size, 3), dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        into = pixels.numpy()

        def some(rows: range) -> None:
            for row in rows:
                into[row] = self.read(int(plan.indices[row]))

        spread(some, count, self.workers)
        # The copy is queued before the kernels that read it, and torch keeps pinned memory until the copy is done.
        images = self.normaliser.planes(pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2))
        if self.augment is None:
            return images
        if self.fast and self.inside is not None:
            return self.inside.place(images, plan.drawn)
        return self.augment.apply(images, plan.drawn)


class _Watch:
    """The generators that batches are drawn from ahead of the step, between whose draws nobody else may draw."""

    def __init__(self, *generators: object) -> None:
        self.generators = [generator for generator in generators if isinstance(generator, torch.Generator)]
        self.before = self.after = self._states()

    def _states(self) -> list[torch.Tensor]:
        return [generator.get_state() for generator in self.generators]

    def check(self) -> None:
        """Before a batch is drawn: nothing was drawn since the one before it. Raises ReidbenchError."""
        if not all(map(torch.equal, self._states(), self.after)):
            raise ReidbenchError(
                "the step draws from the generator of its batches, which workers make ahead of it: "
                "give the step a generator of its own, or the batches ahead=False"
            )
        self.before = self.after

    def note(self) -> None:
        """After a batch was drawn."""
        self.after = self._states()

    def restore(self) -> None:
        """Undo the drawing of the batch that is ahead and that nobody takes."""
        for generator, state in zip(self.generators, self.before, strict=True):
            generator.set_state(state)
