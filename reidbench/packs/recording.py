"""A plan as JSON: everything that tables and pages show, independent of its plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reidbench import __version__
from reidbench.components import Component, InPlace, Published, SameContent
from reidbench.matrix.benchmark import Choice, DataRef, Features, Recipe, Task, canonical, marker
from reidbench.matrix.reading.expect import changed_params
from reidbench.matrix.search import Tuned
from reidbench.matrix.stage import DataInput, Plan, Row, Stage

from . import claims
from .boards import FORMAT


def record(plan: Plan, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Return a plan as JSON values for `recorded_plan`; the order of names is significant.

    `arguments` are command-line arguments that changed the file, such as `--set`, `seeds=[0]`. Secrets and the paths of
    data sets and feature files are omitted. Parameters that are paths are kept as in the file.
    """
    return _Recorder(plan).board(arguments)


class _Interned:
    """A list of different JSON values, and their indices."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}
        self._known: dict[int, tuple[Any, int]] = {}  # by id: thousands of stages share parameters

    def place(self, shared: object, value: Callable[[], Any]) -> int:
        """Return the index of the value of an object, which may be shared."""
        if id(shared) not in self._known:
            made = value()
            text = canonical([made, list(made)])  # the order of names is displayed
            if text not in self._places:
                self._places[text] = len(self.values)
                self.values.append(made)
            self._known[id(shared)] = shared, self._places[text]
        return self._known[id(shared)][1]

    def same(self, value: Mapping[str, Any]) -> int:
        """Return the index of a JSON value."""
        return self.place(value, lambda: dict(value))


class _Recorder:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.values, self.components, self.choices = _Interned(), _Interned(), _Interned()
        self.roots: dict[Path, int] = {}

    def board(self, arguments: Sequence[str]) -> dict[str, Any]:
        given = self.plan.benchmark
        found: dict[str, Any] = {
            "format": FORMAT,
            "reidbench": __version__,
            "name": given.file.name,
            "text": given.public_text,
            "sha256": given.sha256,
            "arguments": given.public_words(arguments),
            "title": given.title,
            "image_size": list(given.image_size),
            "pictures": dict(given.pictures),
            "threads": given.threads,
            "precision": given.precision,
            "devices": given.devices if isinstance(given.devices, int) else dict(given.devices),
            "seeds": list(given.seeds),
            "pretrain_seeds": list(given.pretrain_seeds),
            "prepare_seed": given.prepare_seed,
            "few": given.few,
            "profile": given.profile,
            **({"validate": asdict(given.validate)} if given.validate else {}),
            "data": [self.data(name) for name in given.data],
            "tasks": [_task(task) for task in given.tasks],
            "evaluate": [self.choice(choice) for choice in given.evaluate],
            "backbone": self.optional(given.backbone),
            "methods": [self.method(recipe) for recipe in given.methods],
            "expect": [
                {"method": cell.method, "task": cell.task, "component": cell.component}
                | {"numbers": list(map(_number, cell.numbers))}
                for cell in given.expect
            ],
            "published": list(map(_number, given.published)),
            **claims.recorded(given),
            "stages": [self.stage(stage) for stage in self.plan.stages.values()],
            "rows": [_row(row) for row in self.plan.rows],
        }
        lists = {"values": self.values, "components": self.components, "choices": self.choices}
        return found | {name: interned.values for name, interned in lists.items()}

    def optional(self, choice: Choice | None) -> int | None:
        return self.choice(choice) if choice else None

    def choice(self, choice: Choice) -> int:
        return self.choices.place(choice, lambda: self._choice(choice))

    def _choice(self, choice: Choice) -> dict[str, Any]:
        component, params = choice.component, choice.params
        fields = type(params).model_fields
        nested = [
            {"field": name, "choice": self.choice(inner), "kinds": list(mark.kinds), "role": mark.role}
            | {"start": mark.start}
            for name, (inner, mark) in choice.nested.items()
        ]
        return {
            "component": self.components.place(component, lambda: _component(choice.kind, component)),
            "params": self.values.same(choice.resolved),
            "changed": list(changed_params(choice)),
            "in_place": [name for name, info in fields.items() if marker(info, InPlace)],
            "same_content": [name for name, info in fields.items() if marker(info, SameContent)],
            "protocol": sorted(component.protocol_with(params)),
            "traits": sorted(component.traits_with(params)),
            "nested": nested,
            "backbone": self.optional(choice.backbone),
            "settings": _settings(choice.settings),
            "for_data": {name: self.choice(one) for name, one in choice.for_data.items()},
            **({"preset": choice.preset} if choice.preset else {}),
        }

    def data(self, name: str) -> dict[str, Any]:
        source = self.plan.benchmark.data[name]
        root = None if source.root is None else self.roots.setdefault(source.root.resolve(), len(self.roots))
        held_out = {"held_out": dict(source.held_out), "origin": source.origin} if source.held_out else {}
        return {
            "name": name,
            "choice": self.choice(source.choice),
            "root": root,
            "stand_in": source.stand_in,
            **held_out,
        }

    def method(self, recipe: Recipe) -> dict[str, Any]:
        return {
            "name": recipe.name,
            "backbone": self.optional(recipe.backbone),
            "steps": [[kind, self.choice(choice)] for kind, choice in recipe.steps],
            "ensemble": list(recipe.ensemble),
            "flip_test": recipe.flip_test,
            "settings": _settings(recipe.settings),
            "features": _features(recipe.features) if recipe.features else None,
            **({"tuned": {task: _tuned(one) for task, one in recipe.tuned.items()}} if recipe.tuned else {}),
        }

    def stage(self, stage: Stage) -> dict[str, Any]:
        return {
            "key": stage.key,
            "kind": stage.kind,
            "use": stage.use,
            "params": self.values.same(stage.params),
            "parents": [list(parent) for parent in stage.parents],
            "data": [_input(given) for given in stage.data],
            "backbone": None if stage.backbone is None else self.values.same(stage.backbone),
            "image_size": list(stage.image_size),
            "pictures": dict(stage.pictures),
            "seed": stage.seed,
            "rooted": stage.root is not None,
            "label": stage.label,
            "few": stage.few,
            **({"held_out": stage.held_out} if stage.held_out else {}),
            "content": stage.content,
            "files": {part: Path(file).name for part, file in stage.files.items()},
            "changed": self.values.same(stage.changed),
        }


def _component(kind: str, component: Component) -> dict[str, Any]:
    paper = component.paper
    return {
        "kind": kind,
        "name": component.name,
        "version": component.version,
        "summary": component.summary,
        "paper": None
        if paper is None
        else {name: getattr(paper, name) for name in ("title", "venue", "url", "code", "code_licence")}
        | {"deviations": list(paper.deviations), "published": list(map(_number, paper.published))},
        "metrics": [
            {"name": metric.name, "better": metric.better, "unit": metric.unit, "range": list(metric.range)}
            for metric in component.metrics
        ],
    }


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _features(features: Features) -> dict[str, Any]:
    uses = None if features.uses is None else list(features.uses)
    return {"paths": {part: path.name for part, path in features.paths.items()}, "uses": uses}


def _ref(ref: DataRef) -> dict[str, Any]:
    found = {"name": ref.name, "identities": ref.identities, "subset_seed": ref.subset_seed}
    return found if ref.images == "train" else {**found, "images": ref.images}


def _task(task: Task) -> dict[str, Any]:
    roles = {role: [_ref(ref) for ref in task.refs(role)] for role in ("source", "pool", "auxiliary")}
    own: dict[str, Any] = {"test": _ref(task.test)} if task.test else {}
    own |= {"validate": asdict(task.validate)} if task.validate else {}
    own |= {"judges": list(task.judges)} if task.judges else {}
    own |= {"group": task.group, "in_order": task.in_order} if task.group else {}  # unknown to older versions
    return {"name": task.name, "target": _ref(task.target), **roles, "adapt_on": task.adapt_on, **own}


def _input(given: DataInput) -> dict[str, Any]:
    return {"role": given.role, "data": given.data, "key": given.key, "part": given.part, "hidden": given.hidden} | {
        "identities": given.identities,
        "subset_seed": given.subset_seed,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "method": row.method,
        "task": row.task,
        "evaluator": row.evaluator,
        "seed": row.seed,
        "pretrain_seed": row.pretrain_seed,
        "key": row.key,
        "reason": row.reason,
        "protocol": row.protocol,
        "pretrained": row.pretrained,
        "profiles": list(row.profiles),
        **({"lacks": row.lacks} if row.lacks != Row.lacks else {}),
        **({"notes": list(row.notes)} if row.notes else {}),
    }


def _tuned(one: Tuned) -> dict[str, Any]:
    if one.reason:
        return {"reason": one.reason, "status": one.status}
    return {"values": dict(one.values), "words": list(one.words), "notes": list(one.notes)}


def _number(number: Published) -> dict[str, Any]:
    """Return a published number; empty rules are omitted so that older versions can read it."""
    found = asdict(number)
    rules = found.pop("rules")
    return found | ({"rules": list(rules)} if rules else {})
