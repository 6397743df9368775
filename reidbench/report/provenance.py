"""Trace a number: recipe, versions, seeds, data, the command that reproduces it, published numbers."""

from __future__ import annotations

import glob
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from reidbench.components import Component
from reidbench.matrix.benchmark import Choice, Recipe, Task
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.labels import evaluator_labels
from reidbench.matrix.stage import Plan, Stage
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

from .claims.published import Compared, circumstances, compared, own_method
from .results import Leaderboard, Result
from .units import is_percent


@dataclass(frozen=True)
class Step:
    """One component of a recipe with its parameters."""

    kind: str
    component: Component
    params: str


@dataclass(frozen=True)
class Data:
    """A data set of a row; `fingerprint` is its key, which changes with its content."""

    name: str
    use: str
    params: str
    roles: str
    counts: str
    fingerprint: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FeaturesFrom:
    """A file or folder with a row's features: its name with its part, and the hash of its content."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class Made:
    """One stage behind a row from its manifest; `seconds` of work without start-up, None if the artifact is missing."""

    label: str
    plugin: str
    source: str
    seconds: float | None
    key: str


@dataclass(frozen=True)
class Provenance:
    """Recipe, data, versions and published numbers of one cell: a method on a task by an evaluator."""

    command: str
    steps: tuple[Step, ...]
    settings: str
    data: tuple[Data, ...]
    versions: Mapping[str, str]
    platforms: tuple[str, ...]
    made: tuple[Made, ...]
    compared: tuple[Compared, ...] = ()  # published lines that are comparable with the cell
    circumstances: tuple[str, ...] = ()  # of the cell, which may differ from the published ones
    files: tuple[FeaturesFrom, ...] = ()  # of rows with features from files
    own: tuple[str, Component] | None = None  # kind and component of the last training step


class Evidence:
    """Reads and caches the manifests behind rows."""

    def __init__(self, plan: Plan, store: Store, arguments: Sequence[str] = ()) -> None:
        self.plan = plan
        self.store = store
        self.arguments = tuple(plan.benchmark.public_words(arguments))  # of the command line, such as --set seeds=[0]
        self._manifests: dict[str, Mapping[str, Any] | None] = {}

    def manifest(self, key: str) -> Mapping[str, Any] | None:
        """Return the manifest of a stage, or None if it was not run, was removed, or is damaged."""
        if key not in self._manifests:
            try:
                found = self.store.manifest(key).manifest
                self._manifests[key] = found if _well_formed(found) else None
            except (KeyError, BadArtifact):
                self._manifests[key] = None
        return self._manifests[key]

    def behind(self, key: str) -> list[Stage]:
        """Return a stage and all stages behind it, parents first."""
        wanted, waiting = {key}, [key]
        while waiting:
            new = set(self.plan.stages[waiting.pop()].needs) - wanted
            wanted |= new
            waiting += new
        return [self.plan.stages[found] for found in sorted(wanted, key=self._order.__getitem__)]

    @cached_property
    def _order(self) -> dict[str, int]:
        return {key: number for number, key in enumerate(self.plan.stages)}

    def training_seconds(self, key: str) -> float | None:
        """Return the seconds of all training behind a row, including shared stages in full; None if some are unknown.

        Process start-up, imports and waiting are not included.
        """
        total = 0.0
        for stage in self.behind(key):
            if OF_STAGE[stage.kind].given:  # learns from images
                manifest = self.manifest(stage.key)
                if manifest is None:
                    return None
                total += work_seconds(manifest)
        return total

    def mean_seconds(self, results: Sequence[Result]) -> float | None:
        """Return the training seconds of a cell, averaged over its results with a number."""
        keys = [result.row.key for result in results if result.status == "ok" and result.row.key]
        seconds = [found for key in keys if (found := self.training_seconds(key)) is not None]
        return sum(seconds) / len(seconds) if keys and len(seconds) == len(keys) else None

    # ------------------------------------------------------------------ one cell
    def provenance(self, board: Leaderboard, method: str, task: str, evaluator: str) -> Provenance:
        """Return the provenance of a cell; stages and versions are those of its first result with a number."""
        results = board.cell(method, task, evaluator)
        key = next((r.row.key for r in results if r.status == "ok"), results[0].row.key)
        stages = self.behind(key) if key else []
        manifests = [found for stage in stages if (found := self.manifest(stage.key)) is not None]
        recipe, column = self.recipes[method], self.tasks[task]
        data = tuple(self._data(stages))
        cell = board.summarised(method, task, evaluator)  # metrics in %, like published ones
        means = {name: found.mean for name, found in cell.items() if is_percent(board.metric(evaluator, name))}
        own = own_method(recipe)
        return Provenance(
            self.command(method, task),
            tuple(self.steps(method, evaluator)),
            "; ".join([self.settings(), *self._own_settings(stages)]),
            data,
            _versions(manifests),
            tuple(dict.fromkeys(str(manifest["platform"]) for manifest in manifests)),
            _label_uniquely([_made(stage, self.manifest(stage.key)) for stage in stages if stage.kind != "data"]),
            tuple(compared(self.plan.benchmark, recipe, column, self.judge(evaluator), means)),
            (self._made_with(recipe, stages), *circumstances(recipe), *map(_counted, data)),
            tuple(found for stage in stages for found in _files(stage)),
            (OF_STAGE[own[0]].component, own[1].component) if own else None,
        )

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Recipes of the matrix file by name."""
        return {recipe.name: recipe for recipe in self.plan.benchmark.methods}

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Tasks of the matrix file by name."""
        return {task.name: task for task in self.plan.benchmark.tasks}

    def judge(self, evaluator: str) -> Choice:
        """Return the evaluator with that label."""
        benchmark = self.plan.benchmark
        return benchmark.evaluate[evaluator_labels(benchmark.evaluate).index(evaluator)]

    def command(self, method: str, task: str) -> str:
        """Return the command that reproduces a cell, in the folder of the matrix file."""
        only = glob.escape(f"{method}/{task}")
        return shlex.join(["reidbench", "run", self.plan.benchmark.file.name, "--only", only, *self.arguments])

    def steps(self, method: str, evaluator: str) -> Iterator[Step]:
        """Yield backbone, steps with nested components, and evaluator; an ensemble has the steps of its parts."""
        yield from self.own_steps(method)
        judge = self.judge(evaluator)
        yield Step("evaluate", judge.component, _params(judge))

    def own_steps(self, method: str) -> Iterator[Step]:
        """As `steps`, without the evaluator."""
        own = self.recipes[method]
        for part in [self.recipes[name] for name in own.ensemble] or [own]:
            prefix = f"{part.name}: " if own.ensemble else ""
            yield from (Step(prefix + kind, choice.component, _params(choice)) for kind, choice in self.choices(part))

    def choices(self, recipe: Recipe) -> Iterator[tuple[str, Choice]]:
        """Yield backbone and steps, including presets for the file's data sets."""
        if recipe.backbone and any(choice.backbone is None for _, choice in recipe.steps):
            yield "backbone", recipe.backbone
        data = sorted({source.choice.name for source in self.plan.benchmark.data.values()})
        for kind, choice in recipe.steps:
            yield from _nested(choice)
            yield from _own_backbone(kind, choice)
            yield kind, choice
            yield from ((f"{kind} on {name}", choice.for_data[name]) for name in data if name in choice.for_data)

    def settings(self) -> str:
        """Return the settings of the whole matrix as text."""
        benchmark = self.plan.benchmark
        threads = f"{benchmark.threads} thread{'s' if benchmark.threads > 1 else ''}"
        return f"images {benchmark.size.words}, {threads}, precision {benchmark.precision}"

    def _own_settings(self, stages: Sequence[Stage]) -> list[str]:
        """Return the stages whose image size or resizing differs from the matrix's, each with its own."""
        common = self.plan.benchmark.size.words
        own = [s for s in stages if s.kind not in ("data", "evaluate") and s.size.words != common]
        names = [stage.kind if stage.use == stage.kind else f"{stage.kind} {stage.use}" for stage in own]
        texts = (f"{name}: images {stage.size.words}" for name, stage in zip(names, own, strict=True))
        return list(dict.fromkeys(texts))

    def _made_with(self, recipe: Recipe, stages: Sequence[Stage]) -> str:
        """Return the network of a row's last step and the settings as text."""
        network = (recipe.steps[-1][1].backbone if recipe.steps else None) or recipe.backbone
        name = network.name if network else "features from a file"
        return "; ".join([f"{name}, {self.settings()}", *self._own_settings(stages)])

    def _data(self, stages: Sequence[Stage]) -> Iterator[Data]:
        for stage in stages:
            if stage.kind == "data":
                manifest = self.manifest(stage.key)
                roles = dict.fromkeys(_role(given) for user in stages for given in user.data if given.key == stage.key)
                metrics = manifest["metrics"] if manifest else {}
                yield Data(
                    stage.label.removeprefix("data "),
                    stage.use,
                    compact(stage.params),
                    ", ".join(roles),
                    ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in metrics.items()),
                    stage.key,
                    tuple(manifest.get("notes", ())) if manifest else (),
                )


def _files(stage: Stage) -> Iterator[FeaturesFrom]:
    """Yield the files from which a stage reads features."""
    if stage.files:
        for part, fingerprint in zip(sorted(stage.files), stage.content.split(", "), strict=True):
            name = Path(stage.files[part]).name
            yield FeaturesFrom(f"{name} ({part})" if part else name, fingerprint)


def _counted(data: Data) -> str:
    """Return settings and counts of a data set as text: a copy may be smaller than the published set."""
    return f"data {data.name} ({data.use}: {data.params}): {data.counts or 'counts unknown'}"


def work_seconds(manifest: Mapping[str, Any]) -> float:
    """Return the seconds of a component's work; manifests of older versions only have those of the whole stage."""
    return float(manifest.get("work_seconds", manifest["seconds"]))


def _well_formed(manifest: Mapping[str, Any]) -> bool:
    """Return whether a manifest has the fields that stages write; untrusted ones may not."""
    numbers = (int, float)
    kinds: dict[str, Any] = {
        "seconds": numbers,
        "work_seconds": numbers,
        "versions": dict,
        "metrics": dict,
        "notes": (list, tuple),
    }
    given = {"notes": [], "work_seconds": 0, **manifest}
    return {"platform", "plugin", "source"} <= given.keys() and all(
        isinstance(given.get(name), kind) for name, kind in kinds.items()
    )


def _role(given: Any) -> str:
    few = f", {given.identities} identities" if given.identities is not None else ""
    return f"{given.role} ({given.part}{few}{', no labels' if given.hidden else ''})"


def _nested(choice: Choice) -> Iterator[tuple[str, Choice]]:
    for name, (inner, _) in choice.nested.items():
        yield from _nested(inner)
        yield from _own_backbone(name, inner)
        yield name, inner


def _own_backbone(step: str, choice: Choice) -> Iterator[tuple[str, Choice]]:
    if choice.backbone is not None:
        yield f"backbone of {step}", choice.backbone


def _params(choice: Choice) -> str:
    return compact(choice.resolved)


def compact(params: Mapping[str, Any]) -> str:
    """Return parameters as one line."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in params.items())


def _versions(manifests: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return versions by distribution; several if the stages of a row used different ones."""
    found: dict[str, dict[str, None]] = {}
    for manifest in manifests:
        for name, version in manifest["versions"].items():
            found.setdefault(name, {})[str(version)] = None
    return {name: ", ".join(versions) for name, versions in found.items()}


def _label_uniquely(made: Sequence[Made]) -> tuple[Made, ...]:
    """Add the beginning of the key to labels that several stages share."""
    labels = [one.label for one in made]
    return tuple(
        replace(one, label=f"{one.label} ({one.key[:8]})") if labels.count(one.label) > 1 else one for one in made
    )


def _made(stage: Stage, manifest: Mapping[str, Any] | None) -> Made:
    if manifest is None:
        return Made(stage.label, "", "", None, stage.key)
    return Made(stage.label, str(manifest["plugin"]), str(manifest["source"]), work_seconds(manifest), stage.key)
