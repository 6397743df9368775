"""Expand a Benchmark into a Plan: stages with keys, shared where identical, and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reidbench.components import NestedKind
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ConfigError, DataError, PluginError
from reidbench.registry.plugins import printable
from reidbench.words import VALIDATION

from .benchmark import Benchmark, Choice, DataRef, Features, Recipe, Setup, Task
from .families.sequence import Stretch, stretches, tested
from .keys import (
    NO_SEED,
    NONE,
    PREPARE_SEED,
    PRETRAIN_SEEDS,
    SEEDS,
    Keys,
    Made,
    behind,
    content_of,
    data_key,
    features_content,
    features_key,
    in_words,
    parents_of,
    short,
    stage_seed,
)
from .kinds import EMBEDDERS, OF_COMPONENT, OF_STAGE, Given, Kind
from .labels import judges_of, told_apart
from .needs import A_ROLE, Needs, NotApplicable, refuse_open
from .protocol import protocol_words, tested_at
from .stage import DataInput, Parents, Plan, Row, Stage, profile_stage
from .validation import chooses_epoch, epoch_words, for_epochs, with_held_out

# Part of the key of a nested training whose network differs from the one that it starts from; older results have none.
OTHER_NETWORK: Mapping[str, Any] = {"network": "its own"}


def expand(benchmark: Benchmark) -> Plan:
    """Cross methods, tasks, seeds and evaluators. Renders and runs nothing.

    Raises ConfigError that lists every data set and every row of files with unreadable files.
    """
    return Expansion(benchmark).plan()


class Expansion:
    """Builds the plan of a benchmark: each cell adds its steps, parents first, and each step adds its stage and data.

    `result` is the plan built so far.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        benchmark = with_held_out(benchmark)
        self.benchmark = benchmark
        self.result = Plan(benchmark)
        self.needs = Needs(benchmark.data)
        self.data_keys: dict[str, str] = {}
        self.keys = Keys(benchmark)
        self._words: dict[tuple[str, str], list[str]] = {}  # protocol words by method and task
        self._on: dict[tuple[str, str, int], Recipe] = {}  # methods with the presets for the data of a task or stretch
        self._stretches: dict[Task, tuple[Stretch, ...]] = {}
        self._tested = tested_at(benchmark)
        self._setups: dict[int, tuple[Recipe, Setup]] = {}  # by id of the recipe, which stays referenced
        self._held_out: dict[Task, Task] = {}  # tasks as seen by trainings that choose their epoch
        self._contents: dict[tuple[str, ...], str] = {}  # of feature files
        self._unreadable: dict[str, str] = {}  # errors of unreadable feature files, by the place that names them

    def plan(self) -> Plan:
        """Return all cells, with unique stage labels."""
        evaluators = {task: judges_of(self.benchmark, task) for task in self.benchmark.tasks}
        recipes = {recipe.name: recipe for recipe in self.benchmark.methods}
        for recipe in self.benchmark.methods:
            for task in self.benchmark.tasks:
                rows = (
                    row
                    for seed, pretrain_seed in self.seeds(recipe, recipes)
                    for row in self.cell(recipe, recipes, task, seed, pretrain_seed, evaluators[task])
                )
                self.result.rows += dict.fromkeys(rows)  # once for all seeds that the row does not depend on
        self.refuse_unread()
        # Removes stages planned before the cell turned out not applicable; profiles come last, after the stages that
        # they profile.
        if self.benchmark.profile or any(row.key is None for row in self.result.rows):
            self.result = self.result.only(self.result.rows)
        self.result.stages = told_apart(self.result.stages)
        return self.result

    def refuse_unread(self) -> None:
        """Raise ConfigError with a line for everything that could not be read."""
        unread = [
            (self.benchmark.data[name].place, line)
            for name, why in self.needs.unread.items()
            for line in why.split("\n")  # a manifest reports each error on its own line
        ]
        if unread or self._unreadable:
            raise ConfigError([printable(f"{where}: {why}") for where, why in (*unread, *self._unreadable.items())])

    def seeds(self, recipe: Recipe, recipes: dict[str, Recipe]) -> Iterator[tuple[int, int | None]]:
        """Yield seeds, crossed with pre-training seeds if anything is pre-trained."""
        parts = [recipes[name] for name in recipe.ensemble] or [recipe]
        rows = [row for part in parts for row in part.variants]  # a search may choose a pre-training
        pretrained = any(kind == "pretrain" for row in rows for kind, _ in row.steps)
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
    ) -> Iterator[Row]:
        """Add the stages of one method on one task; yield its rows, or rows with the reason for having no stages."""
        whole = [recipes[name] for name in recipe.ensemble or (recipe.name,)]
        parts = [self.on(part, task) for part in whole]
        words = self.words(recipe, parts, task)
        notes = tuple(dict.fromkeys(note for part in whole for note in part.on(task.name).notes))
        try:
            refuse_open(whole, task.name)
            embedded = [self.embed(part, task, seed, pretrain_seed or 0) for part in parts]
            reason = lacks = ""
        except NotApplicable as error:
            embedded, reason, lacks = [], str(error), error.status
        asked = zip(parts, embedded, strict=True) if self.benchmark.profile and embedded else ()
        profiles = tuple(self.profile(part, made, task) for part, made in asked)
        names = behind(embedded) if embedded else frozenset({SEEDS, PRETRAIN_SEEDS})
        seeds = seed if SEEDS in names else None, pretrain_seed if PRETRAIN_SEEDS in names else None
        for choice, label in evaluators:
            unfit = reason or self.needs.unfit_evaluator(choice, task)
            key = None if unfit else self.evaluate(choice, embedded, recipe, task, in_words(seed, names))
            protocol = ", ".join([*words, *sorted(choice.component.protocol_with(choice.params))])
            pretrained = pretrain_seed is not None
            yield Row(
                recipe.name, task.name, label, *seeds, key, unfit, protocol, pretrained, () if unfit else profiles,
                lacks or Row.lacks, notes,
            )  # fmt: skip

    def words(self, recipe: Recipe, parts: Sequence[Recipe], task: Task) -> list[str]:
        """Return the protocol words of a method with these parts on a task."""
        place = recipe.name, task.name
        if place not in self._words:
            said = protocol_words(parts, task, self.benchmark.data)
            words = [epoch_words(self.benchmark, task) if word == VALIDATION else word for word in said]
            words += self._tested(recipe, parts)
            words += [word for part in parts for word in part.on(task.name).words]
            self._words[place] = list(dict.fromkeys(words))
        return self._words[place]

    def on(self, recipe: Recipe, task: Task, number: int = 0) -> Recipe:
        """Return a method as used on a task: with the values chosen by its search, and with the preset of each step for
        the data set that it learns from.

        `number` is the stretch of a sequence.
        """
        place = recipe.name, task.name, number
        if place not in self._on:
            own = recipe.on(task.name).recipe or recipe
            each = ((step, choice.on(self.learnt(OF_STAGE[step], task))) for step, choice in own.steps)
            steps = own.steps if task.in_order else tuple(each)  # each stretch has the preset for its data set
            changed = steps != own.steps or own is not recipe
            self._on[place] = replace(own, name=recipe.name, steps=steps, tuned=recipe.tuned) if changed else recipe
        return self._on[place]

    def learnt(self, kind: Kind, task: Task) -> frozenset[str]:
        """Return the component names of the data sets that a kind of step learns from on a task."""
        return frozenset(self.benchmark.data[ref.name].choice.name for ref in task.refs(kind.learns_from))

    def learning(self, choice: Choice, task: Task) -> Task:
        """Return a task as a training sees it: with a part of the source held out if the training chooses its epoch."""
        if not chooses_epoch(choice):
            return task
        if task not in self._held_out:
            self._held_out[task] = for_epochs(self.benchmark, task)[1]
        return self._held_out[task]

    def setup(self, recipe: Recipe) -> Setup:
        """Return the default setup of a method's steps."""
        if id(recipe) not in self._setups:
            self._setups[id(recipe)] = recipe, self.benchmark.setup(recipe)
        return self._setups[id(recipe)][1]

    # ------------------------------------------------------------------ stages
    def embed(self, recipe: Recipe, task: Task, seed: int, pretrain_seed: int) -> Made:
        """Return the embed stage of a method on a task: target query and gallery to features."""
        if recipe.features:
            return self.embed_files(recipe, recipe.features, task, seed)
        before = self.trained(recipe, task, seed, pretrain_seed)
        flip = {"flip": True} if recipe.flip_test else {}
        label = f"embed {recipe.name} -> {tested(task)} [{', '.join([in_words(seed, before.seeds), *flip])}]"
        data = self.inputs("target", (task.tested,), "test", True)
        parents = ((before.role, before.key),)
        key = self.add("embed", None, parents, data, None, before.size, NO_SEED, label, flip)
        return Made("features", key, before.seeds, before.size)

    def trained(self, recipe: Recipe, task: Task, seed: int, pretrain_seed: int) -> Made:
        """Return the last step of a method on a task, which produces the embedder."""
        before: Made | None = None
        around = self.setup(recipe)
        for stretch in self.stretches(task):
            for step, choice in stretch.steps(self.on(recipe, stretch.task, stretch.number)):
                kind, own = OF_STAGE[step], around.of(choice)
                self.needs.check_step(kind, choice, own.backbone, stretch.task, before.role if before else "")
                own_seed = pretrain_seed if kind.pretrains else seed
                before = self.step(kind, choice, own, stretch.task, own_seed, before, stretch.after)
        assert before is not None  # the reader rejects a recipe without steps
        return before

    def stretches(self, task: Task) -> tuple[Stretch, ...]:
        """Return the stretches of a task, shared by all methods and seeds."""
        if task not in self._stretches:  # keyed by the whole task: tasks of trials share names
            self._stretches[task] = stretches(task)
        return self._stretches[task]

    def embed_files(self, recipe: Recipe, features: Features, task: Task, seed: int) -> Made:
        """Return the embed stage of a row of feature files on a task; it has no parents and no network."""
        names = frozenset({SEEDS} if features.seeded else ())
        data = self.inputs("target", (task.tested,), "test", True)
        files, size = features.files(task.name, seed), self.benchmark.size
        content = self.contents_of(files, features.place)
        key = features_key(files, content, data)
        if key not in self.result.stages:
            label = f"embed {recipe.name} -> {tested(task)} [{in_words(seed, names)}, from a file]"
            self.result.stages[key] = Stage(
                key, "embed", "features", {}, (), data, image_size=(size[0], size[1]), pictures=size.said,
                label=label, content=content, files=files,
            )  # fmt: skip
        return Made("features", key, names, size)

    def contents_of(self, files: Mapping[str, str], place: str) -> str:
        """Return the hashes of feature files, computed once for all cells; record the error of an unreadable file."""
        which = tuple(files.values())
        if which not in self._contents:
            try:
                self._contents[which] = features_content(files)
            except DataError as error:
                self._contents[which] = self._unreadable[place] = str(error)
        return self._contents[which]

    def step(
        self, kind: Kind, choice: Choice, setup: Setup, task: Task, seed: int, before: Made | None, after: str = ""
    ) -> Made:
        """Return the stage of one step of a recipe, with its own setup, after the step `before`.

        `after` starts the place in its label: the data sets of a sequence that were trained on earlier.
        """
        task = self.learning(choice, task)
        parents = [*([before] if before else []), *self.nested(choice, setup, task)]
        name = PRETRAIN_SEEDS if kind.pretrains else SEEDS
        own = stage_seed(kind, choice, setup.backbone, parents, name, seed)
        place = after + "".join(f"{ref.name}, " for ref in task.refs(kind.learns_from))
        label = f"{kind.stage} {choice.name} [{place}{own.words}]"
        data = tuple(self.given(kind.given, choice, task))
        key = self.add(kind.stage, choice, parents_of(parents), data, setup.backbone, setup.size, own.number, label)
        return Made(kind.stage, key, own.names, setup.size)

    def nested(self, choice: Choice, setup: Setup, task: Task) -> list[Made]:
        """Return the stages of the `Uses` fields of a choice with this setup; a field may start from an earlier one.

        Settings missing in a field come from the field that it starts from, or from the choice.
        """
        made: dict[str, Made] = {}
        own: dict[str, Setup] = {}
        for name, (inner, mark) in choice.nested.items():
            around = own.get(mark.start, setup)
            own[name] = around.of(inner)
            start = made.get(mark.start)
            other = start is not None and around.backbone.identity != own[name].backbone.identity
            made[name] = self.nested_stage(inner, mark, start, own[name], task, OTHER_NETWORK if other else NONE)
        return [replace(stage, role=f"prepared.{name}") for name, stage in made.items()]

    def nested_stage(
        self,
        choice: Choice,
        mark: NestedKind,
        start: Made | None,
        setup: Setup,
        task: Task,
        settings: Mapping[str, Any] = NONE,
    ) -> Made:
        """Return one such stage. Its seed is `prepare_seed`, so all seeds and methods share it."""
        kind = OF_COMPONENT[choice.kind]
        if not kind.nested:
            raise PluginError(f"{choice.name} is of kind {choice.kind}, which no `Uses` field can name")
        if chooses_epoch(choice) and mark.role != "source":
            raise NotApplicable(
                f"{choice.name} chooses its epoch on a part of the source, but learns from the {mark.role}"
            )
        task = self.learning(choice, task)
        refs = task.refs(mark.role)
        if not refs:
            raise NotApplicable(f"{choice.name} needs {A_ROLE.get(mark.role, mark.role)}, and the task has none")
        if not kind.step and mark.role == "source" and (few := [r.name for r in refs if r.identities not in (None, 1)]):
            raise NotApplicable(
                f"{choice.name} gets all images of {' and '.join(few)} without labels, but `identities` limits the "
                "images that may be used: leave it out"
            )
        own, *more = kind.given
        part = task.adapt_on if not kind.step and mark.role == "target" else "train"  # never train on a test part
        self.needs.check_data(choice, mark.role, refs, part)
        data = self.inputs(own.role, refs, part, own.hidden)
        self.needs.check_given(more, choice, task)
        data += tuple(self.given(more, choice, task))
        if kind.step:
            self.needs.check_backbone(choice, setup.backbone)
        backbone = setup.backbone if kind.step else None
        parents = (*([start] if start else []), *self.nested(choice, setup, task))
        seed = stage_seed(kind, choice, backbone, parents, PREPARE_SEED, self.benchmark.prepare_seed)
        places = [ref.name for ref in refs] if kind.step else dict.fromkeys(given.data for given in data)
        label = f"{kind.stage} {choice.name} [{', '.join(places)}, {seed.words}]"
        size, number = setup.size, seed.number
        key = self.add(kind.stage, choice, parents_of(parents), data, backbone, size, number, label, settings)
        return Made(kind.stage, key, seed.names, size)

    def given(self, images: Sequence[Given], choice: Choice, task: Task) -> Iterator[DataInput]:
        """Yield the images that a component is given, among those of its kind."""
        for one in images:
            if one.role == VALIDATION and one.goes_to(choice.component, choice.params):
                yield from self.inputs(VALIDATION, task.source, "test", False)
            elif one.goes_to(choice.component, choice.params):
                part = task.adapt_on if one.role == "target" and one.hidden else "train"
                yield from self.inputs(one.role, task.refs(one.role), part, one.hidden)

    def evaluate(self, choice: Choice, embedded: Sequence[Made], recipe: Recipe, task: Task, seed: str) -> str:
        """Return the key of the stage that evaluates the features of one or several methods; `seed` is in words."""
        parents = tuple((f"{made.role}.{number}", made.key) for number, made in enumerate(embedded))
        label = f"evaluate {choice.called} of {recipe.name} -> {tested(task)} [{seed}]"
        return self.add("evaluate", choice, parents, (), None, embedded[0].size, NO_SEED, label)

    def profile(self, recipe: Recipe, features: Made, task: Task) -> str:
        """Return the key of the embedder's profile, shared by all seeds; "" without an embedder."""
        parents = self.result.stages[features.key].parents
        if not any(role in EMBEDDERS for role, _ in parents):
            return ""
        around = self.setup(recipe)
        steps = [(step, choice, around.of(choice)) for step, choice in recipe.steps if step in EMBEDDERS]
        key = self.keys.of_profile(steps, task, self.data_key, recipe.flip_test)
        if key not in self.result.stages:
            _, choice, setup = steps[-1]
            names = choice.name, setup.backbone.name
            self.result.stages[key] = profile_stage(key, parents, names, setup.size, recipe.flip_test)
        return key

    # ------------------------------------------------------------------ data
    def inputs(self, role: str, refs: Sequence[DataRef], part: str, hidden: bool) -> tuple[DataInput, ...]:
        """Return the data sets of a role as inputs. Raises NotApplicable if one lacks such images or labels."""
        self.needs.check_parts(role, refs, part, hidden)
        return tuple(
            DataInput(role, ref.name, self.data_key(ref.name), ref.images, hidden, ref.identities, ref.subset_seed)
            if part == "train" and not hidden
            else DataInput(role, ref.name, self.data_key(ref.name), part, hidden)
            for ref in refs
        )

    def data_key(self, name: str) -> str:
        """Return the key of a data stage; add the stage on first use."""
        if name not in self.data_keys:
            source = self.benchmark.data[name]
            choice, root = source.choice, str(source.root) if source.root else None
            try:
                content = content_of(choice.component, choice.params, source.root)
            except DataError as error:  # continue, to report the errors of the other data sets too
                content = self.needs.unread[name] = str(error)
            few = self.benchmark.few if root else 0
            key = self.data_keys[name] = data_key(choice, content, few, source.held_out)
            self.result.stages[key] = Stage(
                key,
                "data",
                choice.name,
                choice.resolved,
                image_size=self.benchmark.image_size,
                root=root,
                label=f"data {name}",
                content=short(content),
                few=few,
                changed=choice.changed,
                held_out=dict(source.held_out),
            )
        return self.data_keys[name]

    # ------------------------------------------------------------------ the plan
    def add(
        self,
        kind: str,
        choice: Choice | None,
        parents: Parents,
        data: tuple[DataInput, ...],
        backbone: Choice | None,
        size: ImageSize,
        seed: int,
        label: str,
        settings: Mapping[str, Any] = NONE,
    ) -> str:
        """Return the key of a stage; add the stage unless it exists. `settings` as in `Keys.of_stage`."""
        key = self.keys.of_stage(kind, choice, parents, data, backbone, seed, size, settings)
        if key not in self.result.stages:
            network = {"use": backbone.name, "params": backbone.resolved} if backbone else None
            use, params, changed = (
                (choice.name, choice.resolved, choice.changed) if choice else (kind, {**settings}, {**settings})
            )
            self.result.stages[key] = Stage(
                key, kind, use, params, parents, data, network, (size[0], size[1]), size.said, seed,
                label=label, changed=changed, secrets=choice.secrets if choice else {},
            )  # fmt: skip
        return key
