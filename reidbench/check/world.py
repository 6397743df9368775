"""The tiny world that components are tried in: two small data sets, a store, and the stages that come before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from reidbench.components import Component, NestedKind, Params
from reidbench.errors import PluginError
from reidbench.execution.runner import Runner
from reidbench.matrix.benchmark import Benchmark, Choice, DataRef, DataSource, Recipe, Task
from reidbench.matrix.choices import ChoiceReader
from reidbench.matrix.plan import NotApplicable, Stage, _Expansion
from reidbench.matrix.reader import STEPS
from reidbench.matrix.yamlfile import Tree
from reidbench.registry.plugins import Registry
from reidbench.stages.provenance import provenance
from reidbench.stages.run import _Run, limited_threads
from reidbench.store.artifacts import Store
from reidbench.words import TASK_NEEDS

from .examples import Example

FOLDERS = "market-folder"  # the reader of the folders that reidbench.testing writes
RENDERED = "synthetic"  # for components that use the truth
BACKBONES = ("resnet-tiny", "vit-tiny")  # tried first, for they are small
SEED = 3


class World:
    """Data, networks and stages for trying one component; everything lies under `folder`."""

    def __init__(
        self, folder: Path, registry: Registry, example: Example, truth: bool, lacking: frozenset[str] = frozenset()
    ) -> None:
        self.folder = folder
        self.lacking = lacking
        self.registry = registry
        self.example = example
        self.truth = truth
        self.store = Store(folder / "store")
        self.reader = ChoiceReader(Tree(folder / "check.yaml", {}, {}), registry)
        self.runs = 0

    def without(self, kind: str, component: Component, words: frozenset[str]) -> World:
        """The same data and store, but a task that lacks something, and a component that does not require it."""
        bold = replace(component, requires=lambda params: component.required(params) - words)
        registry = replace(self.registry, components={**self.registry.components, (kind, component.name): bold})
        return World(self.folder, registry, self.example, self.truth and "truth" not in words, words)

    # ------------------------------------------------------------------ choices
    def params_of(self, kind: str, component: Component) -> Params:
        """The parameters that a component is tried with."""
        return self.choice(kind, {"use": component.name, **self.example.params}).params

    def choice(self, kind: str, value: Any) -> Choice:
        """A component as a matrix file would choose it. Raises PluginError with every mistake."""
        found = self.reader.choice(kind, value, (kind,))
        if found is None or self.reader.problems:
            problems = [problem.partition(": ")[2] for problem in self.reader.problems]
            raise PluginError("; ".join(problems) or f"{value!r} is no {kind}")
        return found

    def backbone_for(self, chosen: Choice) -> Choice:
        """The example's backbone, or the first small one with the capabilities that the component requires."""
        if self.example.backbone is not None:
            return self.choice("backbone", self.example.backbone)
        wanted = chosen.component.required(chosen.params) - TASK_NEEDS
        names = [name for name in BACKBONES if ("backbone", name) in self.registry.components]
        others = [name for name in self.registry.names("backbone") if name not in names]
        for name in [*names, *others]:
            known = self.registry.get("backbone", name)
            narrow = {"width": 4} if "width" in known.params.model_fields else {}
            choice = self.choice("backbone", {"use": name, **narrow})
            if wanted <= known.capabilities_with(choice.params):
                return choice
        raise NotApplicable(f"no backbone provides {', '.join(sorted(wanted))}")

    # ------------------------------------------------------------------ plan
    @cached_property
    def benchmark(self) -> Benchmark:
        """One task of two data sets."""
        size = self.example.image_size
        return Benchmark(
            self.folder / "check.yaml", "check", size, 1, "32-true", 1, (SEED,), (SEED,), SEED,
            {"source": self._data(0), "target": self._data(1)}, (self.task,), (), (),
        )  # fmt: skip

    @cached_property
    def task(self) -> Task:
        """Source and target are two sets; the source is also the pool and the auxiliary set."""
        source = (DataRef("source"),)
        return Task("check", DataRef("target"), () if "source" in self.lacking else source, source, source)

    def _data(self, number: int) -> DataSource:
        name = ("source", "target")[number]
        if self.truth:
            value = {"use": RENDERED, "world": ("plaza", "station")[number], "size": "tiny"}
            return DataSource(name, self.choice("dataset", value), None)
        from reidbench.testing.folders import write_market_folder

        root = self.folder / "data" / name
        if not root.is_dir():
            write_market_folder(root, images=4, size=(48, 24), seed=number)
        cameras = "none" if "cameras" in self.lacking else "name"
        return DataSource(name, self.choice("dataset", {"use": FOLDERS, "cameras": cameras}), root)

    def plan(self, kind: str, component: Component) -> tuple[Stage, _Expansion]:
        """The stage that runs a component with its example. Raises NotApplicable when there can be none."""
        value = {"use": component.name, **self.example.params}
        choice = self.choice(kind, value)
        backbone = self.backbone_for(choice) if kind != "evaluator" else self.choice("backbone", BACKBONES[0])
        expansion = _Expansion(self.benchmark, self.registry)
        recipe = Recipe("check", backbone)
        if kind == "preparer":
            _, key = expansion.nested_stage(choice, NestedKind((kind,), "target"), None, recipe, self.task)
        elif kind == "evaluator":
            untrained = Recipe("check", backbone, (("finetune", self.choice("finetuner", "none")),))
            key = expansion.evaluate(choice, [expansion.embed(untrained, self.task, SEED, SEED)], recipe, self.task, 0)
        else:
            key = self._step(expansion, kind, choice, recipe)
        return expansion.result.stages[key], expansion

    def _step(self, expansion: _Expansion, kind: str, choice: Choice, recipe: Recipe) -> str:
        kinds = {value: key for key, value in STEPS.items()}
        steps = [item for step in self.example.before for item in step.items()]
        steps = steps if kind == "adapter" and "start" not in self.lacking else []
        parent: tuple[str, str] | None = None
        chosen = [(name, self.choice(STEPS[name], value)) for name, value in steps]
        for name, one in [*chosen, (kinds[kind], choice)]:
            expansion.check(name, one, recipe, self.task, parent[0] if parent else "")
            parent = (name, expansion.step(name, one, recipe, self.task, SEED, parent))
        assert parent is not None
        return parent[1]

    # ------------------------------------------------------------------ runs
    def spec(self, stage: Stage, expansion: _Expansion) -> dict[str, Any]:
        """What a worker would be given."""
        made = Runner(expansion.result, self.store, None, _Silent(), self.registry.disabled).spec(stage)
        spec: dict[str, Any] = json.loads(json.dumps(made))
        return spec

    def make_parents(self, stage: Stage, expansion: _Expansion) -> None:
        """Run and publish whatever the stage needs, parents first."""
        for key in stage.needs:
            if self.store.has(key):
                continue
            parent = expansion.result.stages[key]
            self.make_parents(parent, expansion)
            with self.store.publishing(key) as (folder, manifest), limited_threads(1):
                spec = self.spec(parent, expansion)
                manifest.update(provenance(spec, self.registry))
                run = _Run(spec, self.store, self.registry, folder, lambda event: None)
                manifest["metrics"] = run.run(manifest)

    def new_folder(self) -> Path:
        """A name for the folder of one more run."""
        self.runs += 1
        runs = self.folder / "-".join(["runs", *sorted(self.lacking)])
        runs.mkdir(exist_ok=True)
        return runs / str(self.runs)


class _Silent:
    """A display that shows nothing."""

    def begin(self, stages: int) -> None: ...
    def more(self, stages: int) -> None: ...
    def started(self, stage: Stage) -> None: ...
    def event(self, stage: Stage, event: Mapping[str, Any]) -> None: ...
    def ended(self, stage: Stage, status: str, seconds: float, error: str) -> None: ...
    def note(self, text: str) -> None: ...
