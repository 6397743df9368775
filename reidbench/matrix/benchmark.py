"""A matrix file, checked: the data, tasks, methods and evaluators that it crosses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from reidbench.components import AddedLater, Component, ContentHashed, NestedKind, Params, Published
from reidbench.data import fingerprint_file, fingerprint_folder
from reidbench.data.pictures.size import ImageSize
from reidbench.words import Declared

Devices = int | Mapping[str, int]  # of all stages that may take several, or by kind of stage


@dataclass(frozen=True)
class Choice:
    """A component chosen in a matrix file, with validated params and the components nested in them."""

    kind: str
    component: Component
    params: Params
    nested: Mapping[str, tuple[Choice, NestedKind]] = field(default_factory=dict)  # by field
    backbone: Choice | None = None  # of a step or a nested training that has a network of its own
    settings: Mapping[str, Any] = field(default_factory=dict)  # the image size and how pictures come to it, as said
    for_data: Mapping[str, Choice] = field(default_factory=dict)  # what its preset is on a data set, by component

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    def on(self, data: AbstractSet[str]) -> Choice:
        """The choice on images of data sets of these components: its preset may have one of its own for the set."""
        return next((self.for_data.get(name, self) for name in data), self) if len(data) == 1 else self

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """All params as JSON values, defaults included."""
        return self.params.model_dump(mode="json")

    @cached_property
    def changed(self) -> dict[str, Any]:
        """The params that differ from their defaults, and those that have none, as JSON values."""
        fields = type(self.params).model_fields
        return {
            name: value
            for name, value in self.resolved.items()
            if getattr(self.params, name) != fields[name].get_default(call_default_factory=True)
        }

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What of this choice can change a result: name, version and params, with contents in place of paths."""
        params = dict(self.resolved)
        for name, info in type(self.params).model_fields.items():
            value, later = getattr(self.params, name), marker(info, AddedLater)
            if marker(info, Declared) or (later and later.unsaid(value, name not in self.changed)):
                del params[name]
            hashed = marker(info, ContentHashed)
            if hashed and value is not None:
                params[name] = fingerprint_folder(value) if hashed.folder else fingerprint_file(value)
        for name, (inner, _) in self.nested.items():
            params[name] = {"use": inner.name, **inner.identity["params"]}
        return {"use": self.name, "version": self.component.version, "params": params}


@dataclass(frozen=True)
class DataSource:
    """A named entry under `data`; `place` is where its root stands, as `file:line`."""

    name: str
    choice: Choice
    root: Path | None
    place: str = ""


@dataclass(frozen=True)
class DataRef:
    """A use of a data set: whole, or a part of its identities (a number or a fraction) chosen by a seed."""

    name: str
    identities: int | float | None = None
    subset_seed: int = 0


@dataclass(frozen=True)
class Task:
    """A column: which data play which role."""

    name: str
    target: DataRef
    source: tuple[DataRef, ...] = ()
    pool: tuple[DataRef, ...] = ()
    auxiliary: tuple[DataRef, ...] = ()
    adapt_on: str = "train"

    def refs(self, role: str) -> tuple[DataRef, ...]:
        """The data sets that it names for a role."""
        named = {"source": self.source, "target": (self.target,), "pool": self.pool, "auxiliary": self.auxiliary}
        return named.get(role, ())


@dataclass(frozen=True)
class Recipe:
    """A row: the steps of a method, or the rows whose features an ensemble joins.

    `backbone` and `settings` (image size and how pictures come to it) are those of the steps that say nothing. With
    `flip_test` a test image's feature is the mean of its own and of its mirror image's.
    """

    name: str
    backbone: Choice
    steps: tuple[tuple[str, Choice], ...] = ()
    ensemble: tuple[str, ...] = ()
    flip_test: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """The network and the images of a step, each as it says itself or else as what stands around it says."""

    backbone: Choice
    settings: Mapping[str, Any]  # `image_size` and how pictures come to it

    def of(self, choice: Choice) -> Setup:
        """That of a component which stands within this one."""
        if choice.backbone is None and not choice.settings:
            return self
        return Setup(choice.backbone or self.backbone, {**self.settings, **choice.settings})

    @cached_property
    def size(self) -> ImageSize:
        """The size of its images, and how they come to it."""
        return ImageSize.of(self.settings)


@dataclass(frozen=True)
class Expected:
    """A cell of the matrix, and the row of a published table that it is held against."""

    method: str
    task: str
    component: str  # of the method: its paper, or its code, has the row
    numbers: tuple[Published, ...]


@dataclass(frozen=True)
class Benchmark:
    """A whole matrix file, checked."""

    file: Path
    title: str
    image_size: tuple[int, int]
    threads: int
    precision: str
    devices: Devices
    seeds: tuple[int, ...]
    pretrain_seeds: tuple[int, ...]
    prepare_seed: int
    data: Mapping[str, DataSource]
    tasks: tuple[Task, ...]
    evaluate: tuple[Choice, ...]
    methods: tuple[Recipe, ...]
    few: int = 0  # identities of each data set with a root that a rehearsal keeps; 0: all
    pictures: Mapping[str, str] = field(default_factory=dict)  # `resize`, `resize_test`, `crop_from` as written
    backbone: Choice | None = None  # of the methods that name none
    profile: bool = False  # whether the cost of networks is measured as well
    expect: tuple[Expected, ...] = ()

    @property
    def size(self) -> ImageSize:
        """The size of images, and how they come to it, where a method or a step says nothing else."""
        return ImageSize.of({"image_size": self.image_size, **self.pictures})

    def setup(self, recipe: Recipe) -> Setup:
        """What the steps of a method have that say nothing themselves."""
        return Setup(recipe.backbone, {"image_size": self.image_size, **self.pictures, **recipe.settings})

    def test_size(self, recipe: Recipe) -> ImageSize:
        """The size of the images that a method with steps is tested on: that of its last step."""
        return self.setup(recipe).of(recipe.steps[-1][1]).size


def marker(info: FieldInfo, kind: type) -> Any:
    """The annotation of that class on a Params field, or on a member of its union (`FileParam | None`), or None."""
    of_members = (mark for member in get_args(info.annotation) for mark in getattr(member, "__metadata__", ()))
    return next((mark for mark in (*info.metadata, *of_members) if isinstance(mark, kind)), None)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)  # `json.dumps` makes one a call


def canonical(value: Any) -> str:
    """The one JSON text of a value. Raises ValueError for what JSON cannot say exactly."""
    return _ENCODER.encode(value)
