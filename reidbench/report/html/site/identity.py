"""Identities of tasks, evaluators and methods of different matrices: they compare contents, not only names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from reidbench.components import InPlace
from reidbench.matrix.benchmark import Choice, Recipe, Setup, Task, canonical, marker
from reidbench.matrix.labels import evaluator_labels

from .sources import Source

ROLES = ("target", "source", "pool", "auxiliary")  # of a data set in a task


class Identities:
    """Identities of the tasks, evaluators and methods of one matrix, as strings to compare."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.benchmark = source.plan.benchmark

    # ------------------------------------------------------------------ tasks
    @cached_property
    def data(self) -> dict[str, str]:
        """Keys of the data stages by name of the data set, including second names of the same data."""
        stages = self.source.plan.stages.values()
        keys = {given.data: given.key for stage in stages for given in stage.data}
        places = {self._place(name): key for name, key in keys.items()}
        found = {name: keys.get(name) or places.get(self._place(name)) for name in self.benchmark.data}
        return {name: key for name, key in found.items() if key}

    def _place(self, name: str) -> str:
        entry = self.benchmark.data[name]
        return canonical([_choice(entry.choice), str(entry.root)])

    def data_set(self, name: str) -> str:
        """Return the identity of a data set: its key or, if no row uses it, its matrix and name."""
        return self.data.get(name) or canonical([self.source.called, name])

    def task(self, task: Task) -> str:
        """Return the identity of a task: data and parts by role, and the split for adaptation."""
        roles = {
            role: [[self.data_set(ref.name), ref.identities, ref.subset_seed] for ref in task.refs(role)]
            for role in ROLES
        }
        return canonical([roles, task.adapt_on])

    # ------------------------------------------------------------------ evaluators
    @cached_property
    def evaluators(self) -> dict[str, tuple[str, Choice]]:
        """Identities and choices by label."""
        choices = self.benchmark.evaluate
        return {
            label: (canonical([_choice(choice), _metrics(choice)]), choice)
            for label, choice in zip(evaluator_labels(choices), choices, strict=True)
        }

    # ------------------------------------------------------------------ methods
    def method(self, recipe: Recipe) -> str:
        """Return the identity of a method: its recipe (or those of an ensemble's parts) and the matrix's settings."""
        given = self.benchmark
        parts = [self.source.evidence.recipes[name] for name in recipe.ensemble] or [recipe]
        around = [given.threads, given.precision, given.devices, given.prepare_seed]
        return canonical([[self._recipe(part) for part in parts], around])

    def _recipe(self, recipe: Recipe) -> list[Any]:
        if recipe.features:
            paths = {part: str(path) for part, path in recipe.features.paths.items()}
            return ["files", paths, list(recipe.features.uses or ()), recipe.features.uses is None]
        around = self.benchmark.setup(recipe)
        return [recipe.flip_test, [[kind, _step(choice, around.of(choice))] for kind, choice in recipe.steps]]


def _step(choice: Choice, setup: Setup) -> dict[str, Any]:
    """Return a step with its nested components, networks and sizes."""
    inner = {name: _step(one, setup.of(one)) for name, (one, _) in choice.nested.items()}
    network = _choice(setup.backbone)
    return {**_choice(choice), "nested": inner, "backbone": network, "images": [setup.size, setup.size.said]}


def _choice(choice: Choice) -> dict[str, Any]:
    """Return name, version and parameters without paths; nested components are separate."""
    fields = type(choice.params).model_fields
    params: Mapping[str, Any] = choice.resolved
    kept = {name: value for name, value in params.items() if not marker(fields[name], InPlace)}
    return {"use": choice.name, "version": choice.component.version, "params": kept}


def _metrics(choice: Choice) -> list[Any]:
    """Return the metrics that an evaluator declares; a pack with other declarations has a different evaluator."""
    return [[one.name, one.better, one.unit, *one.range] for one in choice.component.metrics]
