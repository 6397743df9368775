"""Batches in two steps: a plan, which draws; and images, which workers and devices compute ahead of the step."""

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
    """Batch before it is computed: the indices [B] of its images, and the numbers drawn by their augmentation."""

    indices: np.ndarray
    drawn: Any = None

    def part(self, part: slice) -> Plan:
        """The plan of some of the images."""
        return Plan(self.indices[part], None if self.drawn is None else self.drawn.part(part))


class Feed:
    """Normalised, augmented images of `images` as batches.

    A CPU decodes, normalises and augments image by image, in `workers` threads. For another `device` it only decodes,
    into pinned memory for a GPU, and the device does the rest. Neither changes a value. `limit` and `fast` are those of
    `picture_source`; fast images are augmented with other numbers (`Augment.draw_rows`).
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
        self.inside = augment if isinstance(augment, Augment) else None  # applied while an image is written
        self.writer: Writer = (FastWriter if fast else PlainWriter)(preprocess, self.inside)
        self.read = picture_source(images, self.size, limit=limit, workers=workers, fast=fast)

    # ------------------------------------------------------------------ plans
    def plan(self, indices: np.ndarray, generator: torch.Generator | None = None, share: Share = WHOLE) -> Plan:
        """Draw the augmentation of a whole batch; the returned plan is a `share` of it."""
        own = share.part(len(indices))
        if self.augment is None:
            return Plan(indices[own])
        if generator is None:
            raise ReidbenchError("augmentation requires a generator: pass `generator`")
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
        """Yield (images [B, 3, H, W], their indices [B]) for a `share` of each index array of `sampler`.

        With workers the next batch is drawn and computed while one is used, unless `ahead` is False. Generators end in
        the same state as without workers, even if iteration stops early; for that, a sampler must expose its generator
        as the attribute `generator`. Raises ReidbenchError if other code draws from these generators between two
        batches.
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
        """Compute the images of a plan, float32 [B, 3, H, W] on the device; draws nothing, may run in any thread."""
        if self.device.type != "cpu":
            return self._on_device(plan)
        count = len(plan.indices)
        out = self.writer.empty(count)
        draws = plan.drawn if self.inside is not None else None

        def some(rows: range) -> None:
            # Decode all images first: decoding evicts the processor's caches only once.
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
    """Generators that batches are drawn from ahead of the step; no other code may draw from them in between."""

    def __init__(self, *generators: object) -> None:
        self.generators = [generator for generator in generators if isinstance(generator, torch.Generator)]
        self.before = self.after = self._states()

    def _states(self) -> list[torch.Tensor]:
        return [generator.get_state() for generator in self.generators]

    def check(self) -> None:
        """Check, before a batch is drawn, that nothing was drawn since the last one. Raises ReidbenchError."""
        if not all(map(torch.equal, self._states(), self.after)):
            raise ReidbenchError(
                "the step draws from the generator of its batches, which workers compute ahead: "
                "use a separate generator for the step, or ahead=False for the batches"
            )
        self.before = self.after

    def note(self) -> None:
        """Record the state after a batch was drawn."""
        self.after = self._states()

    def restore(self) -> None:
        """Undo the drawing of a batch that was prepared but not used."""
        for generator, state in zip(self.generators, self.before, strict=True):
            generator.set_state(state)
