"""The epochs of a training: what is restored, stepped, averaged, logged and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from reidbench.components import Params
from reidbench.contexts import Context

from .update import Update


class Means:
    """Means of named numbers, each over the steps that gave it. `number` is the type that they are summed in."""

    def __init__(self, number: Callable[[float], Any] = float) -> None:
        self.number = number
        self.steps = 0
        self.counts: dict[str, int] = {}
        self._sums: dict[str, Any] = {}

    def add(self, values: Mapping[str, torch.Tensor | float]) -> None:
        """The numbers of one step."""
        self.steps += 1
        for name, value in values.items():
            value = float(value.detach() if isinstance(value, torch.Tensor) else value)
            self._sums[name] = self._sums.get(name, self.number(0)) + self.number(value)
            self.counts[name] = self.counts.get(name, 0) + 1

    def values(self) -> dict[str, float]:
        """The means by name; of a name that no step gave there is none."""
        return {name: float(total / self.number(self.counts[name])) for name, total in self._sums.items()}


class Loop:
    """The epochs of a training that goes on from its last checkpoint and logs one line after each epoch.

    `networks` are placed on the stage's device and put into training mode, `optimisers` step together, `schedule` steps
    after each epoch; `others` are all else that a killed run needs in order to go on: generators, memories. Each epoch
    logs the means of what its steps gave, the first optimiser's rate and the number of steps.

        loop = Loop(ctx, params.epochs, {"network": network}, {"optimiser": optimiser}, order=order)
        for _ in loop.epochs():
            for images, indices in batches:
                with loop.precision():
                    logits = network(ctx.fabric.to_device(images))
                loop.step({"loss": F.cross_entropy(logits.float(), targets[indices])})
    """

    def __init__(
        self,
        ctx: Context[Params],
        epochs: int,
        networks: Mapping[str, nn.Module],
        optimisers: Mapping[str, torch.optim.Optimizer],
        schedule: LRScheduler | None = None,
        *,
        number: Callable[[float], Any] = float,
        **others: Any,
    ) -> None:
        self.ctx, self.total, self.networks, self.schedule, self.number = ctx, epochs, networks, schedule, number
        self.state = {**networks, **optimisers, **({} if schedule is None else {"schedule": schedule}), **others}
        for network in networks.values():
            ctx.fabric.to_device(network)
        self.update = Update(ctx.fabric, *optimisers.values())
        self.facts: dict[str, float] = {}  # further numbers for the log's next line
        self.stopped = False  # set in an epoch: it is the last
        self.done = 0  # epochs
        self.means = Means(number)

    def epochs(self) -> Iterator[int]:
        """The epochs that are still to run, counted from 0."""
        for epoch in self.ctx.checkpoint.epochs(self.total, **self.state):
            for network in self.networks.values():
                network.train()
            self.means, self.facts = Means(self.number), {}
            yield epoch
            self.done = epoch + 1
            rate = float(self.update.optimisers[0].param_groups[0]["lr"])
            self.ctx.log({**self.means.values(), **self.facts, "lr": rate, "steps": self.means.steps})
            if self.schedule is not None:
                self.schedule.step()
            if self.stopped:
                return

    def precision(self) -> AbstractContextManager[Any]:
        """Where networks run; losses are computed outside, on their outputs turned to float32."""
        return self.update.precision()

    def step(self, values: Mapping[str, torch.Tensor], before: Callable[[], None] = lambda: None) -> None:
        """One step by `values["loss"]`, in whose middle, with gradients, `before` runs; all values are for the log."""
        self.update.backward(values["loss"])
        before()
        self.update.step()
        self.means.add(values)

    def step_in_parts(
        self, parts: Iterable[tuple[float, Mapping[str, torch.Tensor]]], before: Callable[[], None] = lambda: None
    ) -> None:
        """One step by a batch that is computed in parts, to save memory: as `step` by the mean of their values.

        `parts` gives for each part its share of the batch, and its values; the shares sum to 1. A part's graph is
        freed before the next is asked for.
        """
        means: dict[str, float] = {}

        def losses() -> Iterator[torch.Tensor]:
            for share, values in parts:
                yield share * values["loss"]
                for name, value in values.items():
                    means[name] = means.get(name, 0.0) + share * float(value.detach())

        self.update.accumulate(losses())
        before()
        self.update.step()
        self.means.add(means)
