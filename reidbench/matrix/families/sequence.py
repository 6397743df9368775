"""A method on a sequence of data sets: trained on one after the other, each time from the network that it had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from reidbench.matrix.benchmark import Choice, DataRef, Recipe, Task
from reidbench.matrix.kinds import EMBEDDERS, OF_STAGE
from reidbench.matrix.needs import NotApplicable
from reidbench.words import BACKBONE_FREE


@dataclass(frozen=True)
class Stretch:
    """The training on one data set, as a task of its own, after those whose names are in `after`.

    A task that is no sequence is one stretch. `number` counts those of a sequence from 1 and is 0 for any other.
    """

    task: Task
    number: int = 0
    after: str = ""

    def steps(self, recipe: Recipe) -> Iterator[tuple[str, Choice]]:
        """The steps of a recipe that run here: from the second data set on those that train an embedder.

        Pre-training comes once, and so does what trains nothing. Raises NotApplicable for a component that cannot go
        on from the network before.
        """
        for step, choice in recipe.steps:
            component, params = choice.component, choice.params
            if self.number > 1 and (step not in EMBEDDERS or OF_STAGE[step].trains_nothing(component, params)):
                continue
            if self.number > 1 and BACKBONE_FREE in component.traits_with(params):
                raise NotApplicable(
                    f"{choice.name} does not go on from the network of the data set before, as a sequence asks of it"
                )
            yield step, choice


def stretches(task: Task) -> tuple[Stretch, ...]:
    """The stretches of a task. In one of a sequence a data set is source and target: adapters get its train images."""
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
    """The target for a label, and what a sequence was trained on before."""
    after = f" after {'>'.join(ref.name for ref in task.source)}" if task.in_order else ""
    return f"{task.tested.name}{after}"
