"""The environment of a check: two small data sets, a store, and the stages before the checked component."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from reidbench.components import Component, NestedKind, Params
from reidbench.errors import PluginError
from reidbench.matrix.benchmark import Benchmark, Choice, DataRef, DataSource, Recipe, Setup, Task, Validation
from reidbench.matrix.keys import Made
from reidbench.matrix.kinds import OF_COMPONENT, OF_STAGE
from reidbench.matrix.needs import NotApplicable
from reidbench.matrix.plan import Expansion
from reidbench.matrix.reading.checker import Checker
from reidbench.matrix.reading.choices import ChoiceReader
from reidbench.matrix.reading.yamlfile import Tree
from reidbench.matrix.stage import Stage
from reidbench.matrix.validation import for_epochs
from reidbench.registry.plugins import Registry
from reidbench.stages.actions import perform
from reidbench.stages.inputs import Inputs
from reidbench.stages.provenance import provenance
from reidbench.stages.spec import StageSpec
from reidbench.stages.stagerun import StageRun
from reidbench.stages.worker import limited_threads
from reidbench.store.artifacts import Store
from reidbench.words import MORE_LABELS, TASK_NEEDS

from .examples import Example, small
from .own import COMPONENTS, FOLDER, UNTRAINED, WEIGHTS, write_market_folder

SMALL_FIRST = "tiny"  # networks with this word in their names are preferred
SEED = 3


class World:
    """Data, networks and stages to check one component, all under `folder`."""

    def __init__(
        self, folder: Path, registry: Registry, example: Example, truth: bool, lacking: frozenset[str] = frozenset()
    ) -> None:
        self.folder = folder
        self.lacking = lacking
        self.registry = replace(registry, components={**registry.components, **COMPONENTS})
        self.example = example
        self.truth = truth
        self.store = Store(folder / "store")
        self.reader = ChoiceReader(Checker(Tree(folder / "check.yaml", {}, {})), self.registry)
        self.runs = 0

    def without(self, kind: str, component: Component, words: frozenset[str]) -> World:
        """Return a world with the same data and store whose task and component requirements lack `words`."""
        bold = replace(component, requires=lambda params: component.required(params) - words)
        registry = replace(self.registry, components={**self.registry.components, (kind, component.name): bold})
        return World(self.folder, registry, self.example, self.truth and "truth" not in words, words)

    # ------------------------------------------------------------------ choices
    def params_of(self, kind: str, component: Component) -> Params:
        """Return the parameters with which a component is checked."""
        return self.choice(kind, {"use": component.name, **self.example.params}).params

    def choice(self, kind: str, value: Any) -> Choice:
        """Return a component chosen as in a matrix file. Raises PluginError with every mistake."""
        found = self.reader.choice(kind, value, (kind,))
        if found is None or self.reader.check.problems:
            problems = [problem.partition(": ")[2] for problem in self.reader.check.problems]
            raise PluginError("; ".join(problems) or f"{value!r} is not a {kind}")
        return found

    def backbone_for(self, chosen: Choice) -> Choice:
        """Return the example's backbone, or the first small one with the capabilities that the component requires."""
        if self.example.backbone is not None:
            return self.choice("backbone", self.example.backbone)
        wanted = chosen.component.required(chosen.params) - TASK_NEEDS
        for name in self.backbones:
            known = self.registry.get("backbone", name)
            narrow = {"width": 4} if "width" in known.params.model_fields else {}
            choice = self.choice("backbone", {"use": name, **narrow})
            if wanted <= known.capabilities_with(choice.params):
                return choice
        raise NotApplicable(f"no backbone provides {', '.join(sorted(wanted))}")

    @property
    def backbones(self) -> list[str]:
        """Networks of all plugins, small ones first."""
        names = [name for kind, name in self.registry.components if kind == "backbone"]
        return sorted(names, key=lambda name: SMALL_FIRST not in name)

    def rendered(self, number: int) -> dict[str, Any]:
        """Return a small rendered data set with the truth about its images; `number` is its seed."""
        for (kind, name), component in self.registry.components.items():
            fields = component.params.model_fields
            if kind != "dataset" or any(info.is_required() for info in fields.values()):
                continue
            values = {**small(component.params, {}), **({"seed": number} if "seed" in fields else {})}
            params = component.params(**values)
            if "truth" in component.capabilities_with(params) and "root" not in component.required(params):
                return {"use": name, **values}
        raise NotApplicable("no loaded plugin renders a data set with the truth about its images")

    # ------------------------------------------------------------------ plan
    @cached_property
    def benchmark(self) -> Benchmark:
        """A benchmark with one task of two data sets, and held-out data for choosing an epoch."""
        size = self.example.image_size
        found = Benchmark(
            self.folder / "check.yaml", "check", size, 1, "32-true", 1, (SEED,), (SEED,), SEED,
            {"source": self._data(0), "target": self._data(1)}, (self.task,), (), (),
        )  # fmt: skip
        return replace(found, data={**found.data, **(for_epochs(found, self.task)[0] if self.task.source else {})})

    @cached_property
    def task(self) -> Task:
        """The task. Source and target are two data sets; the source is also the pool and the auxiliary set."""
        source = (DataRef("source"),)
        given = () if "source" in self.lacking else source
        return Task("check", DataRef("target"), given, source, source, validate=Validation("identities", 2))

    def _data(self, number: int) -> DataSource:
        name = ("source", "target")[number]
        if self.truth:
            return DataSource(name, self.choice("dataset", self.rendered(number)), None)
        root = self.folder / "data" / name
        if not root.is_dir():
            write_market_folder(root, images=4, size=(48, 24), seed=number)
        cameras, without = "cameras" not in self.lacking, sorted(self.lacking & MORE_LABELS)
        return DataSource(name, self.choice("dataset", {"use": FOLDER, "cameras": cameras, "without": without}), root)

    def plan(self, kind: str, component: Component, *, with_weights: bool = False) -> tuple[Stage, Expansion]:
        """Return the stage that runs a component with its example. Raises NotApplicable if it cannot run.

        `with_weights` starts a method that would train a fresh network from the weights of an earlier step.
        """
        value = {"use": component.name, **self.example.params}
        choice = self.choice(kind, value)
        backbone = self.backbone_for(choice) if kind != "evaluator" else self.choice("backbone", self.backbones[0])
        expansion = Expansion(self.benchmark)
        recipe = Recipe("check", backbone)
        setup = self.benchmark.setup(recipe)
        if kind == "preparer":
            key = expansion.nested_stage(choice, NestedKind((kind,), "target"), None, setup, self.task).key
        elif kind == "evaluator":
            untrained = Recipe("check", backbone, (("finetune", self.choice("finetuner", UNTRAINED)),))
            key = expansion.evaluate(choice, [expansion.embed(untrained, self.task, SEED, SEED)], recipe, self.task, "")
        else:
            key = self._step(expansion, kind, choice, setup, with_weights)
        return expansion.result.stages[key], expansion

    def _step(self, expansion: Expansion, kind: str, choice: Choice, setup: Setup, with_weights: bool) -> str:
        steps: list[tuple[str, Any]] = [item for step in self.example.before for item in step.items()]
        steps = steps if kind == "adapter" and "start" not in self.lacking else []
        if with_weights and OF_COMPONENT[kind].leaves and not steps:
            steps = [("pretrain", WEIGHTS)]
        chosen = [(OF_STAGE[name], self.choice(OF_STAGE[name].component, value)) for name, value in steps]
        before: Made | None = None
        for of_kind, one in [*chosen, (OF_COMPONENT[kind], choice)]:
            expansion.needs.check_step(of_kind, one, setup.backbone, self.task, before.role if before else "")
            before = expansion.step(of_kind, one, setup, self.task, SEED, before)
        assert before is not None
        return before.key

    # ------------------------------------------------------------------ runs
    def inputs(self, stage: Stage, expansion: Expansion) -> Inputs:
        """Return the inputs of a stage as a worker reads them."""
        spec = StageSpec.of(expansion.result, stage, self.store, self.registry.disabled)
        return Inputs(spec, self.store, self.registry, lambda event: None)

    def make_parents(self, stage: Stage, expansion: Expansion) -> None:
        """Run and store all stages that a stage needs, parents first."""
        for key in stage.needs:
            if self.store.has(key):
                continue
            parent = expansion.result.stages[key]
            self.make_parents(parent, expansion)
            with self.store.publishing(key) as (folder, manifest), limited_threads(1):
                inputs = self.inputs(parent, expansion)
                manifest.update(provenance(inputs))
                manifest["metrics"] = perform(StageRun(inputs, folder), manifest)

    def new_folder(self) -> Path:
        """Return a new folder name for a run."""
        self.runs += 1
        runs = self.folder / "-".join(["runs", *sorted(self.lacking)])
        runs.mkdir(exist_ok=True)
        return runs / str(self.runs)
