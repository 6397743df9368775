"""The epoch loop of a training: restore, step, average, log and save."""

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
    """Means of named values, each over the steps that reported it. `number` is the data type of the sums."""

    def __init__(self, number: Callable[[float], Any] = float) -> None:
        self.number = number
        self.steps = 0
        self.counts: dict[str, int] = {}
        self._sums: dict[str, Any] = {}

    def add(self, values: Mapping[str, torch.Tensor | float]) -> None:
        """Add the values of one step."""
        self.steps += 1
        for name, value in values.items():
            value = float(value.detach() if isinstance(value, torch.Tensor) else value)
            self._sums[name] = self._sums.get(name, self.number(0)) + self.number(value)
            self.counts[name] = self.counts.get(name, 0) + 1

    def values(self) -> dict[str, float]:
        """The means by name, without names that no step reported."""
        return {name: float(total / self.number(self.counts[name])) for name, total in self._sums.items()}


class Loop:
    """Epoch loop that resumes from its last checkpoint and logs one line after each epoch.

    `networks` are moved to the stage's device and set to training mode, `optimisers` step together, `schedule` steps
    after each epoch; `others` is the rest of the state that resuming requires: generators, memories. Each epoch
    logs the means of its steps' values, the first optimiser's learning rate and the number of steps.

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
        self.facts: dict[str, float] = {}  # further values for the next log line
        self.stopped = False  # set during an epoch to make it the last
        self.done = 0  # epochs
        self.means = Means(number)

    def epochs(self) -> Iterator[int]:
        """Yield the remaining epochs, counted from 0."""
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
        """Context in which networks run; losses are computed outside, on their outputs converted to float32."""
        return self.update.precision()

    def step(self, values: Mapping[str, torch.Tensor], before: Callable[[], None] = lambda: None) -> None:
        """Step by the gradient of `values["loss"]`; `before` runs between backward and step; all values are logged."""
        self.update.backward(values["loss"])
        before()
        self.update.step()
        self.means.add(values)

    def step_in_parts(
        self, parts: Iterable[tuple[float, Mapping[str, torch.Tensor]]], before: Callable[[], None] = lambda: None
    ) -> None:
        """Step by a batch computed in parts, to save memory: as `step` with the mean of the parts' values.

        `parts` yields each part's share of the batch and its values; the shares sum to 1. A part's graph is freed
        before the next part is requested.
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
