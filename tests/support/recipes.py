"""Presets, rehearsals and workloads of components, and the number of steps that a training takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from reidbench import Amount, Component, Params, Workload
from reidbench.components import STEP_SETTINGS, load_attribute


def preset(component: Component, name: str) -> tuple[Any, dict[str, Any]]:
    """The parameters of a preset, without required ones, and its settings of the step."""
    values = component.presets[name]
    settings = {field: value for field, value in values.items() if field in STEP_SETTINGS}
    return component.params(**{field: value for field, value in values.items() if field not in settings}), settings


def rehearsed(component: Component, **given: Any) -> Params:
    """The parameters `given` by a user, overridden by the component's rehearsal."""
    return component.params(**{**given, **component.rehearsal})


def workload(component: Component, params: Any, **amounts: Amount) -> Workload:
    """The component's workload at that scale, with `amounts` by role of data."""
    found = load_attribute(component.workload)(params, amounts)
    assert isinstance(found, Workload)
    return found


@contextmanager
def counted_steps() -> Iterator[Mapping[int, int]]:
    """Count the steps of every optimiser, by its identity; the largest count is the training's."""
    steps: Counter[int] = Counter()
    optimisers: list[Optimizer] = []  # kept alive, so that no two have the same id

    def count(optimiser: Optimizer, *_: Any) -> None:
        optimisers.append(optimiser)
        steps[id(optimiser)] += 1

    handle = register_optimizer_step_post_hook(count)
    try:
        yield steps
    finally:
        handle.remove()
