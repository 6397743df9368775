"""A matrix file, checked: the data, tasks, methods and evaluators that it crosses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic.fields import FieldInfo

from reidbench.components import (
    AddedLater,
    Component,
    ContentHashed,
    InPlace,
    NestedKind,
    Params,
    Published,
    Secret,
)
from reidbench.data import fingerprint_file, fingerprint_folder, fingerprint_paths, is_stand_in
from reidbench.data.pictures.size import ImageSize
from reidbench.words import Declared

from .reading.yamlfile import BLANK, without_secrets
from .search import NO_SEARCH, NOT_BEGUN, Search, Tuned

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
    preset: str = ""  # the preset that was named, with what the file says beside it: for the name of an evaluator

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def called(self) -> str:
        """The name with the preset of an evaluator."""
        return f"{self.name}({self.preset})" if self.preset else self.name

    def on(self, data: AbstractSet[str]) -> Choice:
        """The choice on images of data sets of these components: its preset may have one of its own for the set."""
        return next((self.for_data.get(name, self) for name in data), self) if len(data) == 1 else self

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """All params as JSON values, defaults included, with hashes in place of secrets."""
        hashed = {name: {key: _hash(text) for key, text in texts.items()} for name, texts in self.secrets.items()}
        return {**self.params.model_dump(mode="json"), **hashed}

    @property
    def hidden(self) -> list[str]:
        """The names of the params that only the stage itself may see."""
        return [name for name, info in type(self.params).model_fields.items() if marker(info, Secret)]

    def parts(self) -> Iterator[Choice]:
        """What stands within the choice, and then the choice itself."""
        beside = [inner for inner, _ in self.nested.values()] + [*self.for_data.values()]
        for choice in [*beside, *([self.backbone] if self.backbone else [])]:
            yield from choice.parts()
        yield self

    @cached_property
    def secrets(self) -> dict[str, dict[str, str]]:
        """The params that only the stage itself may see, by name; {} for nearly all components."""
        found = {name: dict(getattr(self.params, name)) for name in self.hidden}
        return {name: texts for name, texts in found.items() if texts}

    @cached_property
    def changed(self) -> dict[str, Any]:
        """The params that differ from their defaults, and those that have none, as JSON values."""
        fields = type(self.params).model_fields
        return {
            name: value
            for name, value in self.resolved.items()
            if getattr(self.params, name) != fields[name].get_default(call_default_factory=True)
            and not marker(fields[name], InPlace)
        }

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What of this choice can change a result: name, version and params, with contents in place of paths."""
        params = dict(self.resolved)
        for name, info in type(self.params).model_fields.items():
            value, later = getattr(self.params, name), marker(info, AddedLater)
            if (
                marker(info, Declared)
                or marker(info, InPlace)
                or (later and later.unsaid(value, name not in self.changed))
            ):
                del params[name]
            hashed = marker(info, ContentHashed)
            if hashed and value is not None:
                params[name] = _content(value, hashed.folder)
        for name, (inner, _) in self.nested.items():
            params[name] = {"use": inner.name, **inner.identity["params"]}
        return {"use": self.name, "version": self.component.version, "params": params}


def _content(value: Any, folder: bool | None) -> Any:
    """What of a file, a folder or a list of both (`folder` None) enters the key; of a list the names do too.

    Bytecode that Python leaves in listed folders is not theirs.
    """
    if folder is not None:
        return fingerprint_folder(value) if folder else fingerprint_file(value)
    found = []
    for path in value:
        inside = [file.relative_to(path) for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
        code = [file.as_posix() for file in inside if "__pycache__" not in file.parts]
        found.append([path.name, fingerprint_paths(path, code) if path.is_dir() else fingerprint_file(path)])
    return found


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True)
class DataSource:
    """A named entry under `data`, or what validation makes of one; `place` begins a sentence about its root."""

    name: str
    choice: Choice
    root: Path | None
    place: str = ""
    marked: bool | None = None  # whether the root is a stand-in's, where that was found out before; None: look
    held_out: Mapping[str, Any] = field(default_factory=dict)  # how a part of train becomes query and gallery
    origin: str = ""  # the name under `data` of that from which a part is held out

    @property
    def stand_in(self) -> bool:
        """Whether its root is marked as a stand-in for the data set."""
        return self.root is not None and is_stand_in(self.root) if self.marked is None else self.marked


ALL_IMAGES = "all"  # of a data set: train, query and gallery together


@dataclass(frozen=True)
class DataRef:
    """A use of a data set: whole, or a part of its identities (a number or a fraction) chosen by a seed.

    `images` are those that training is given: of its train part, or all that have an identity (`ALL_IMAGES`).
    """

    name: str
    identities: int | float | None = None
    subset_seed: int = 0
    images: str = "train"


@dataclass(frozen=True)
class Validation:
    """Where something may be chosen: on held-out identities of the source, another data set, or shipped queries."""

    kind: Literal["identities", "data", "queries"]
    identities: int | float | None = None
    data: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Task:
    """A column: which data play which role. `test` is ranked in the place of the target; `validate` is its own.

    `judges` are the labels of its evaluators; empty for all of the file.

    `group` is the family that it belongs to, or empty. With `in_order` a method is trained on one source after the
    other, each time from the network that it had, and not on all together.
    """

    name: str
    target: DataRef
    source: tuple[DataRef, ...] = ()
    pool: tuple[DataRef, ...] = ()
    auxiliary: tuple[DataRef, ...] = ()
    adapt_on: str = "train"
    group: str = ""
    in_order: bool = False
    test: DataRef | None = None
    validate: Validation | None = None
    judges: tuple[str, ...] = ()

    @property
    def tested(self) -> DataRef:
        """The data set whose query and gallery are embedded and ranked."""
        return self.test or self.target

    def refs(self, role: str) -> tuple[DataRef, ...]:
        """The data sets that it names for a role."""
        named = {"source": self.source, "target": (self.target,), "pool": self.pool, "auxiliary": self.auxiliary}
        return named.get(role, ())


PLACEHOLDERS = ("task", "seed", "part")  # in the paths of features
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
BOTH = ""  # the part of a file that has the features of query and gallery


@dataclass(frozen=True)
class Features:
    """Files, or folders, with the features of a row that was made elsewhere: one for query and gallery, or one each.

    Their paths, by part, may hold {task}, {seed} and {part}. `uses` are the protocol words that the matrix file
    declares of the row, None where it declares nothing; `place` begins a sentence about them: `file:line: key.key`.
    """

    paths: Mapping[str, Path]
    uses: tuple[str, ...] | None = None
    place: str = ""

    @property
    def seeded(self) -> bool:
        """Whether each seed has files of its own."""
        return any("{seed}" in str(path) for path in self.paths.values())

    def files(self, task: str, seed: int) -> dict[str, str]:
        """The files of a task and a seed, by part: query and gallery, or BOTH."""
        alone = self.paths.get(BOTH)
        paths = dict.fromkeys(("query", "gallery"), alone) if alone and "{part}" in str(alone) else self.paths
        return {part: _filled(str(path), task=task, seed=str(seed), part=part) for part, path in paths.items()}


def _filled(path: str, **values: str) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], path)


@dataclass(frozen=True)
class Recipe:
    """A row: the steps of a method, the rows whose features an ensemble joins, or files with features.

    `backbone` and `settings` (image size and how pictures come to it) are those of the steps that say nothing; a row
    of files has no backbone. With `flip_test` a test image's feature is the mean of its own and of its mirror image's.
    A row with a `search` is that search's; `tuned` is what the search came to, by task.
    """

    name: str
    backbone: Choice | None
    steps: tuple[tuple[str, Choice], ...] = ()
    ensemble: tuple[str, ...] = ()
    flip_test: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    features: Features | None = None
    search: Search | None = None
    tuned: Mapping[str, Tuned] = field(default_factory=dict)

    def on(self, task: str) -> Tuned:
        """What its search came to on a task; an empty one for a row without a search."""
        return self.tuned.get(task, NOT_BEGUN if self.search else NO_SEARCH)

    @property
    def variants(self) -> tuple[Recipe, ...]:
        """The row as it is on its tasks: for a search the rows with its winners, or else itself."""
        return tuple(one.recipe for one in self.tuned.values() if one.recipe) or (self,)


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
    validate: Validation | None = None  # of the tasks that name none
    expect: tuple[Expected, ...] = ()
    published: tuple[Published, ...] = ()  # that stand below the table, their tasks by the names of the file
    text: str = field(default="", repr=False)  # of the matrix file, as it was read
    digest: str = ""  # SHA-256 of the file, where `text` is not all of it

    @property
    def sha256(self) -> str:
        """SHA-256 of the matrix file, in UTF-8; empty where no text is known."""
        return self.digest or (hashlib.sha256(self.text.encode()).hexdigest() if self.text else "")

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Every choice once, nested ones, networks of steps and presets of single data sets before their own."""
        first = [source.choice for source in self.data.values()] + [*self.evaluate]
        first += [self.backbone] if self.backbone else []
        for recipe in self.methods:
            first += [*([recipe.backbone] if recipe.backbone else []), *(choice for _, choice in recipe.steps)]
        return tuple({id(choice): choice for one in first for choice in one.parts()}.values())

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return frozenset(name for choice in self.choices for name in choice.hidden)

    def without_secrets(self, text: str) -> str:
        """A YAML text, such as that of the file, with a blank for every secret."""
        values = {value for choice in self.choices for texts in choice.secrets.values() for value in texts.values()}
        return without_secrets(text, self._hidden, values)

    def public_words(self, words: Sequence[str]) -> list[str]:
        """The words of a command line with a blank for every secret among the values that `--set` gives."""
        found = []
        for word in words:
            key, equals, value = word.partition("=")
            if equals:
                value = BLANK if self._hidden & set(key.split(".")) else self.without_secrets(value)
            found.append(f"{key}{equals}{value}")
        return found

    @cached_property
    def public_text(self) -> str:
        """The text of the matrix file that may be shown: secrets are blank."""
        return self.without_secrets(self.text)

    @property
    def size(self) -> ImageSize:
        """The size of images, and how they come to it, where a method or a step says nothing else."""
        return ImageSize.of({"image_size": self.image_size, **self.pictures})

    def setup(self, recipe: Recipe) -> Setup:
        """What the steps of a method have that say nothing themselves."""
        assert recipe.backbone is not None  # only a row of files has none
        return Setup(recipe.backbone, {"image_size": self.image_size, **self.pictures, **recipe.settings})

    def test_size(self, recipe: Recipe) -> ImageSize | None:
        """The size of the images that a method is tested on: that of its last step; None where nobody declared it."""
        if recipe.features:
            return ImageSize.of({**self.pictures, **recipe.settings}) if "image_size" in recipe.settings else None
        return self.setup(recipe).of(recipe.steps[-1][1]).size


def marker(info: FieldInfo, kind: type) -> Any:
    """The annotation of that class on a Params field, or on a member of its union (`FileParam | None`), or None."""
    of_members = (mark for member in get_args(info.annotation) for mark in getattr(member, "__metadata__", ()))
    return next((mark for mark in (*info.metadata, *of_members) if isinstance(mark, kind)), None)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)  # `json.dumps` makes one a call


def canonical(value: Any) -> str:
    """The one JSON text of a value. Raises ValueError for what JSON cannot say exactly."""
    return _ENCODER.encode(value)
