"""Sequences of data sets: a method trains on one after the other, each time from its current network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from reidbench.matrix.benchmark import Choice, DataRef, Recipe, Task
from reidbench.matrix.kinds import EMBEDDERS, OF_STAGE
from reidbench.matrix.needs import NotApplicable
from reidbench.words import BACKBONE_FREE


@dataclass(frozen=True)
class Stretch:
    """Training on one data set of a sequence, as a separate task; `after` names the earlier data sets.

    A task that is not a sequence is one stretch. `number` counts those of a sequence from 1 and is 0 for any other.
    """

    task: Task
    number: int = 0
    after: str = ""

    def steps(self, recipe: Recipe) -> Iterator[tuple[str, Choice]]:
        """Yield the steps of a recipe that run here: after the first data set, only those that train an embedder.

        Pre-training and steps that train nothing run once. Raises NotApplicable for a component that cannot start from
        the current network.
        """
        for step, choice in recipe.steps:
            component, params = choice.component, choice.params
            if self.number > 1 and (step not in EMBEDDERS or OF_STAGE[step].trains_nothing(component, params)):
                continue
            if self.number > 1 and BACKBONE_FREE in component.traits_with(params):
                raise NotApplicable(
                    f"{choice.name} cannot start from the network of the previous data set, which a sequence needs"
                )
            yield step, choice


def stretches(task: Task) -> tuple[Stretch, ...]:
    """Return the stretches of a task. In a sequence a data set is source and target: adapters get its train images."""
    if not task.in_order:
        return (Stretch(task),)
    names = [ref.name for ref in task.source]
    return tuple(
        Stretch(
            replace(task, source=(ref,), target=DataRef(ref.name), test=None, in_order=False),
            number,
            "".join(f"{name}>" for name in names[: number - 1]),
        )
        for number, ref in enumerate(task.source, 1)
    )


def tested(task: Task) -> str:
    """Return the target for a label, with the data sets of a sequence trained on before."""
    after = f" after {'>'.join(ref.name for ref in task.source)}" if task.in_order else ""
    return f"{task.tested.name}{after}"
