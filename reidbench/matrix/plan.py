"""A Benchmark becomes a Plan: stages with keys, equal ones once, and the rows that they end in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from reidbench.components import TASK_NEEDS, NestedKind
from reidbench.registry.plugins import Registry

from .benchmark import Benchmark, Choice, DataRef, Recipe, Task, canonical
from .devices import devices_for
from .diskcontent import content_of, short
from .labels import evaluator_labels, told_apart
from .needs import ROLES, Needs
from .needs import NotApplicable as NotApplicable
from .protocol import LABEL_FREE, POOL_FREE, SOURCE_FREE, protocol_words

KEY_VERSION = 2  # bump when the way keys are computed changes
# For the kinds that a `Uses` field may name: kind of stage, role of its images there, whether labels are hidden.
NESTED = {
    "preparer": ("prepare", "split", True),
    "pretrainer": ("pretrain", "pool", True),
    "finetuner": ("finetune", "source", False),
}


@dataclass(frozen=True)
class DataInput:
    """A split that a stage is given: which data set, which part, with labels or without."""

    role: str
    data: str  # name in the matrix file
    key: str  # of the data stage
    part: str  # train | test (query and gallery)
    hidden: bool
    identities: int | float | None = None
    subset_seed: int = 0

    @property
    def identity(self) -> list[Any]:
        """What of it enters a key."""
        return [self.role, self.key, self.part, self.hidden, self.identities, self.subset_seed]


@dataclass(frozen=True)
class Stage:
    """One piece of work. Its key names everything that can change its result."""

    key: str
    kind: str
    use: str
    params: dict[str, Any]
    parents: tuple[tuple[str, str], ...] = ()  # role -> key
    data: tuple[DataInput, ...] = ()
    backbone: dict[str, Any] | None = None
    seed: int = 0
    root: str | None = None  # data stages only; where data lie is no part of a key
    label: str = ""
    content: str = ""  # data stages only: what their files contained when the plan was made
    changed: dict[str, Any] = field(default_factory=dict)  # params that differ from the defaults, for sentences

    @property
    def needs(self) -> Iterator[str]:
        """Keys of the stages that must be there first."""
        yield from (key for _, key in self.parents)
        yield from (given.key for given in self.data)


@dataclass(frozen=True)
class Row:
    """One line of the results: a method on a task, by an evaluator, with its seeds."""

    method: str
    task: str
    evaluator: str
    seed: int
    pretrain_seed: int | None
    key: str | None  # None: not applicable
    reason: str = ""
    protocol: str = ""


@dataclass
class Plan:
    """Stages by key, parents first, and rows."""

    benchmark: Benchmark
    stages: dict[str, Stage] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def only(self, keep: Sequence[Row]) -> Plan:
        """The plan that these rows need."""
        wanted: set[str] = set()
        waiting = [row.key for row in keep if row.key]
        while waiting:
            key = waiting.pop()
            if key not in wanted:
                wanted.add(key)
                waiting += self.stages[key].needs
        stages = {key: stage for key, stage in self.stages.items() if key in wanted}
        return Plan(self.benchmark, stages, list(keep))

    def trained_on(self, key: str) -> list[DataInput]:
        """The train splits that the stages behind one were given, pools and preparers' among them."""
        found: dict[DataInput, None] = {}
        waiting = [parent for _, parent in self.stages[key].parents]
        looked = set()
        while waiting:
            earlier = waiting.pop()
            if earlier not in looked:
                looked.add(earlier)
                waiting += [parent for _, parent in self.stages[earlier].parents]
                found |= dict.fromkeys(given for given in self.stages[earlier].data if given.part == "train")
        return list(found)

    def reads(self, key: str) -> list[str]:
        """Keys of the artifacts that a stage reads: what it needs and, to embed, the lists that it is compared with."""
        stage = self.stages[key]
        behind = self.trained_on(key) if stage.kind == "embed" else []
        return list(dict.fromkeys([*stage.needs, *(given.key for given in behind)]))


def expand(benchmark: Benchmark, registry: Registry) -> Plan:
    """Cross methods, tasks, seeds and evaluators. Renders nothing and runs nothing.

    Raises DataError when a data set's files cannot be listed.
    """
    return _Expansion(benchmark, registry).plan()


class _Expansion:
    def __init__(self, benchmark: Benchmark, registry: Registry) -> None:
        self.benchmark = benchmark
        self.registry = registry
        self.result = Plan(benchmark)
        self.needs = Needs(benchmark.data)
        self.data_keys: dict[str, str] = {}
        self.choice_texts: dict[int, str] = {}
        self.commons: dict[int, str] = {}  # by devices

    def plan(self) -> Plan:
        evaluators = list(zip(self.benchmark.evaluate, evaluator_labels(self.benchmark.evaluate), strict=True))
        recipes = {recipe.name: recipe for recipe in self.benchmark.methods}
        for recipe in self.benchmark.methods:
            for task in self.benchmark.tasks:
                for seed, pretrain_seed in self.seeds(recipe, recipes):
                    self.cell(recipe, recipes, task, seed, pretrain_seed, evaluators)
        if any(row.key is None for row in self.result.rows):  # what was planned before a reason was found
            self.result = self.result.only(self.result.rows)
        self.result.stages = told_apart(self.result.stages)
        return self.result

    def seeds(self, recipe: Recipe, recipes: dict[str, Recipe]) -> Iterator[tuple[int, int | None]]:
        """Seeds, crossed with pre-training seeds where something is pre-trained."""
        parts = [recipes[name] for name in recipe.ensemble] or [recipe]
        pretrained = any(kind == "pretrain" for part in parts for kind, _ in part.steps)
        pretrain_seeds = self.benchmark.pretrain_seeds if pretrained else (None,)
        return ((seed, pretrain_seed) for pretrain_seed in pretrain_seeds for seed in self.benchmark.seeds)

    def cell(
        self,
        recipe: Recipe,
        recipes: dict[str, Recipe],
        task: Task,
        seed: int,
        pretrain_seed: int | None,
        evaluators: list[tuple[Choice, str]],
    ) -> None:
        parts = [recipes[name] for name in recipe.ensemble] or [recipe]
        words = protocol_words(parts, task, self.benchmark.data)
        try:
            embedded = [self.embed(part, task, seed, pretrain_seed or 0) for part in parts]
            reason = ""
        except NotApplicable as error:
            embedded, reason = [], str(error)
        for choice, label in evaluators:
            key = self.evaluate(choice, embedded, recipe, task, seed) if embedded else None
            protocol = ", ".join([*words, *sorted(choice.component.provided(choice.params))])
            self.result.rows.append(Row(recipe.name, task.name, label, seed, pretrain_seed, key, reason, protocol))

    # ------------------------------------------------------------------ stages
    def embed(self, recipe: Recipe, task: Task, seed: int, pretrain_seed: int) -> str:
        """The embed stage of a method on a task: target query and gallery to features."""
        parent: tuple[str, str] | None = None
        for kind, choice in recipe.steps:
            self.check(kind, choice, recipe, task, parent[0] if parent else "")
            stage_seed = pretrain_seed if kind in ("select", "pretrain") else seed
            key = self.step(kind, choice, recipe, task, stage_seed, parent)
            parent = (kind, key)
        assert parent is not None
        label = f"embed {recipe.name} -> {task.target.name} [seed {seed}]"
        return self.add("embed", None, (parent,), self.inputs("target", (task.target,), "test", True), None, 0, label)

    def step(
        self, kind: str, choice: Choice, recipe: Recipe, task: Task, seed: int, parent: tuple[str, str] | None
    ) -> str:
        parents = [*([parent] if parent else []), *self.nested(choice, recipe, task)]
        label = f"{kind} {choice.name} [{self.place(kind, task)}seed {seed}]"
        data = tuple(self.step_inputs(kind, choice, task))
        return self.add(kind, choice, tuple(parents), data, recipe.backbone, seed, label)

    def place(self, kind: str, task: Task) -> str:
        return "".join(f"{ref.name}, " for ref in role_refs(ROLES[kind], task))

    def nested(self, choice: Choice, recipe: Recipe, task: Task) -> list[tuple[str, str]]:
        """The stages that the `Uses` fields of a choice stand for; a field may start from an earlier one."""
        made: dict[str, tuple[str, str]] = {}
        for name, (inner, mark) in choice.nested.items():
            made[name] = self.nested_stage(inner, mark, made.get(mark.start), recipe, task)
        return [(f"prepared.{name}", key) for name, (_, key) in made.items()]

    def nested_stage(
        self, choice: Choice, mark: NestedKind, start: tuple[str, str] | None, recipe: Recipe, task: Task
    ) -> tuple[str, str]:
        """Kind and key of one such stage. Its seed is `prepare_seed`, so that all seeds and methods share it."""
        refs = role_refs(mark.role, task)
        if not refs:
            raise NotApplicable(f"{choice.name} needs a {mark.role}, and the task names none")
        self.needs.check(choice, mark.role, refs)
        kind, given, hidden = NESTED[choice.kind]
        part = task.adapt_on if kind == "prepare" and mark.role == "target" else "train"  # training never on a test
        data = self.inputs(given, refs, part, hidden)
        backbone = None
        if kind != "prepare":
            self.check_backbone(choice, recipe)
            self.check_auxiliary(kind, choice, task)
            data += tuple(given for given in self.step_inputs(kind, choice, task) if given.role == "auxiliary")
            backbone = recipe.backbone
        seed = self.benchmark.prepare_seed
        parents = (*([start] if start else []), *self.nested(choice, recipe, task))
        label = f"{kind} {choice.name} [{refs[0].name}, seed {seed}]"
        return kind, self.add(kind, choice, parents, data, backbone, seed, label)

    def step_inputs(self, kind: str, choice: Choice, task: Task) -> Iterator[DataInput]:
        uses = choice.component.used(choice.params)
        if kind == "select" or (kind == "pretrain" and POOL_FREE not in choice.component.provided(choice.params)):
            yield from self.inputs("pool", task.pool, "train", True)
        if kind == "select" and "target-labels" in uses:
            yield from self.inputs("target", (task.target,), "train", False)
        if kind == "pretrain" and "auxiliary" in uses:
            yield from self.inputs("auxiliary", task.auxiliary, "train", False)
        if kind == "finetune" and LABEL_FREE not in choice.component.provided(choice.params):
            yield from self.inputs("source", task.source, "train", False)
        if kind == "adapt":
            yield from self.inputs("target", (task.target,), task.adapt_on, True)
            if SOURCE_FREE not in choice.component.provided(choice.params):
                yield from self.inputs("source", task.source, "train", False)

    def check(self, kind: str, choice: Choice, recipe: Recipe, task: Task, before: str = "") -> None:
        """Raise NotApplicable where a task, or the step before, lacks what a step needs."""
        provided = choice.component.provided(choice.params)
        if kind in ("select", "pretrain") and not task.pool and POOL_FREE not in provided:
            raise NotApplicable(f"{choice.name} needs a pool, and the task names none")
        self.check_auxiliary(kind, choice, task)
        if kind == "finetune" and not task.source and LABEL_FREE not in provided:
            raise NotApplicable(f"{choice.name} needs a source, and the task names none")
        self.check_adapter(choice, task, before)
        self.needs.check(choice, ROLES[kind], role_refs(ROLES[kind], task))
        self.check_backbone(choice, recipe)

    def check_adapter(self, choice: Choice, task: Task, before: str) -> None:
        required = choice.component.required(choice.params)
        if "source" in required and not task.source:
            raise NotApplicable(f"{choice.name} needs a source, and the task names none")
        if "start" in required and before not in ("finetune", "adapt"):
            raise NotApplicable(
                f"{choice.name} goes on from a trained embedder: name `finetune:` or another adapter before it"
            )

    def check_auxiliary(self, kind: str, choice: Choice, task: Task) -> None:
        if kind == "pretrain" and "auxiliary" in choice.component.used(choice.params) and not task.auxiliary:
            raise NotApplicable(f"{choice.name} needs auxiliary data, and the task names none")

    def check_backbone(self, choice: Choice, recipe: Recipe) -> None:
        backbone = recipe.backbone
        wanted = choice.component.required(choice.params) - TASK_NEEDS
        missing = wanted - backbone.component.provided(backbone.params)
        if missing:
            raise NotApplicable(
                f"{choice.name} needs {', '.join(sorted(missing))}, which {backbone.name} does not provide"
            )

    def evaluate(self, choice: Choice, embedded: list[str], recipe: Recipe, task: Task, seed: int) -> str:
        parents = tuple((f"features.{number}", key) for number, key in enumerate(embedded))
        label = f"evaluate {choice.name} of {recipe.name} -> {task.target.name} [seed {seed}]"
        return self.add("evaluate", choice, parents, (), None, 0, label)

    # ------------------------------------------------------------------ data
    def inputs(self, role: str, refs: Sequence[DataRef], part: str, hidden: bool) -> tuple[DataInput, ...]:
        self.needs.check_parts(role, refs, part, hidden)
        return tuple(
            DataInput(role, ref.name, self.data_key(ref.name), part, hidden, ref.identities, ref.subset_seed)
            if part == "train" and not hidden
            else DataInput(role, ref.name, self.data_key(ref.name), part, hidden)
            for ref in refs
        )

    def data_key(self, name: str) -> str:
        """The key of a data stage, which is added when it is first needed."""
        if name not in self.data_keys:
            source = self.benchmark.data[name]
            choice, root = source.choice, str(source.root) if source.root else None
            content = content_of(choice.component, choice.params, source.root)
            key = self.data_keys[name] = _digest(canonical([KEY_VERSION, "data", *data_identity(choice, content)]))
            self.result.stages[key] = Stage(
                key,
                "data",
                choice.name,
                choice.resolved,
                root=root,
                label=f"data {name}",
                content=short(content),
                changed=choice.changed,
            )
        return self.data_keys[name]

    # ------------------------------------------------------------------ keys
    def add(
        self,
        kind: str,
        choice: Choice | None,
        parents: tuple[tuple[str, str], ...],
        data: tuple[DataInput, ...],
        backbone: Choice | None,
        seed: int,
        label: str,
    ) -> str:
        text = "|".join(
            (
                self.common(
                    devices_for(kind, choice.component, choice.params, self.benchmark.devices) if choice else 1
                ),
                kind,
                self.text(choice),
                self.text(backbone),
                canonical([parents, [given.identity for given in data], seed]),
            )
        )
        key = _digest(text)
        if key not in self.result.stages:
            self.result.stages[key] = Stage(
                key,
                kind,
                choice.name if choice else kind,
                choice.resolved if choice else {},
                parents,
                data,
                {"use": backbone.name, "params": backbone.resolved} if backbone else None,
                seed,
                label=label,
                changed=choice.changed if choice else {},
            )
        return key

    def common(self, devices: int) -> str:
        """Canonical JSON of the settings that every stage depends on; the devices are those that this one takes."""
        if devices not in self.commons:
            given = self.benchmark
            self.commons[devices] = canonical([KEY_VERSION, given.image_size, given.threads, given.precision, devices])
        return self.commons[devices]

    def text(self, choice: Choice | None) -> str:
        """Canonical JSON of a choice; each is asked for thousands of times."""
        if choice is None:
            return ""
        if id(choice) not in self.choice_texts:
            self.choice_texts[id(choice)] = canonical(choice.identity)
        return self.choice_texts[id(choice)]


def role_refs(role: str, task: Task) -> tuple[DataRef, ...]:
    """The data sets that a task names for a role."""
    refs = {"source": task.source, "target": (task.target,), "pool": task.pool, "auxiliary": task.auxiliary}
    return refs.get(role, ())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def data_identity(choice: Choice, content: str) -> list[Any]:
    """What names the content of a data set.

    A component with a fingerprint function of its own says which params matter; else all of them count, and the
    names and contents of the files under the root.
    """
    if choice.component.fingerprint:
        return [choice.name, choice.component.version, content]
    return [choice.identity, content] if content else [choice.identity]
