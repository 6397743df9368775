"""The short form of a benchmark: one seed, and a few steps with small batches on the same networks and image sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reidbench.matrix.benchmark import Benchmark, Choice, DataRef, Recipe, Task, Validation
from reidbench.matrix.kinds import OF_COMPONENT

from .changes import with_params
from .standins import Cast, each_method

FEW = 12  # identities used of each of the user's data sets


def shorten(cast: Cast, real: bool = False) -> None:
    """Apply the `rehearsal` of all components, also of data sets, such as the smallest size of a rendered one.

    With `real`, networks keep all parameters, including weights, and data sets with a root keep a few images.
    """
    each_method(cast, _short_recipe if real else _short_recipe_and_network)
    old = cast.benchmark
    cast.benchmark = replace(
        old,
        seeds=old.seeds[:1],
        pretrain_seeds=old.pretrain_seeds[:1],
        devices=1,
        profile=False,  # takes minutes on a laptop, and the numbers are discarded
        few=FEW if real else 0,
        data={name: replace(one, choice=short_choice(one.choice)) for name, one in old.data.items()},
        tasks=tuple(_all_identities(task) for task in old.tasks),
        validate=_a_quarter(old.validate),
    )


def _short_recipe(recipe: Recipe) -> Recipe:
    return replace(recipe, steps=tuple((step, short_choice(choice)) for step, choice in recipe.steps))


def _short_recipe_and_network(recipe: Recipe) -> Recipe:
    """Also apply the `rehearsal` of networks, which removes weights that would be downloaded."""
    assert recipe.backbone is not None  # rows of files are not rehearsed
    short = _short_recipe(recipe)
    steps = tuple((step, _with_short_networks(choice)) for step, choice in short.steps)
    return replace(short, backbone=short_choice(recipe.backbone), steps=steps)


def _with_short_networks(choice: Choice) -> Choice:
    choice = replace(choice, for_data={name: _with_short_networks(one) for name, one in choice.for_data.items()})
    nested = {name: (_with_short_networks(inner), mark) for name, (inner, mark) in choice.nested.items()}
    if choice.backbone:
        choice = replace(choice, backbone=short_choice(choice.backbone))
    return with_params(choice, {}, nested)


def short_choice(choice: Choice) -> Choice:
    """Return a choice with its `rehearsal`, also in nested choices. Raises NoStandIn if the values are invalid."""
    choice = replace(choice, for_data={name: short_choice(one) for name, one in choice.for_data.items()})
    nested = {name: (short_choice(inner), mark) for name, (inner, mark) in choice.nested.items()}
    return with_params(choice, choice.component.rehearsal, nested)


def _all_identities(task: Task) -> Task:
    """Use all identities instead of a subset: a tenth of twelve is too few to train on, and there are no hundred."""
    validate = _a_quarter(task.validate)
    return replace(task, source=_whole(task.source), auxiliary=_whole(task.auxiliary), validate=validate)


def _a_quarter(validation: Validation | None) -> Validation | None:
    """Hold out a quarter of the few identities, regardless of the given share or number."""
    return replace(validation, identities=0.25) if validation and validation.kind == "identities" else validation


def _whole(refs: tuple[DataRef, ...]) -> tuple[DataRef, ...]:
    return tuple(ref if ref.identities is None else replace(ref, identities=1.0) for ref in refs)


def run_as_they_are(benchmark: Benchmark) -> list[str]:
    """Return the training components without a `rehearsal`, each once."""
    steps = (choice for recipe in benchmark.methods for _, choice in recipe.steps)
    found = (one for choice in steps for one in within(choice) if _trains(one) and not one.component.rehearsal)
    return list(dict.fromkeys(f"{one.kind} {one.name}" for one in found))


def within(choice: Choice) -> Iterator[Choice]:
    """Yield a choice and its nested choices."""
    yield choice
    for inner, _ in choice.nested.values():
        yield from within(inner)


def _trains(choice: Choice) -> bool:
    kind = OF_COMPONENT[choice.kind]
    return bool(kind.leaves) and not kind.trains_nothing(choice.component, choice.params)
