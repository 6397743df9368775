"""Validated matrix file: data, tasks, methods and evaluators."""

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

from .claims import USUAL_RULE, Claim, ClaimRule
from .reading.yamlfile import BLANK, without_secrets
from .search import NO_SEARCH, NOT_BEGUN, Search, Tuned

Devices = int | Mapping[str, int]  # for all stages that support several devices, or by kind of stage


@dataclass(frozen=True)
class Choice:
    """Component chosen in a matrix file, with validated params and nested components."""

    kind: str
    component: Component
    params: Params
    nested: Mapping[str, tuple[Choice, NestedKind]] = field(default_factory=dict)  # by field
    backbone: Choice | None = None  # of a step or nested training with its own network
    settings: Mapping[str, Any] = field(default_factory=dict)  # image size and resizing, as written
    for_data: Mapping[str, Choice] = field(default_factory=dict)  # its preset on a data set, by component
    preset: str = ""  # preset and the parameters next to it, for the evaluator's name

    @property
    def name(self) -> str:
        """Name of the component."""
        return self.component.name

    @property
    def called(self) -> str:
        """Name of the component, with the preset of an evaluator."""
        return f"{self.name}({self.preset})" if self.preset else self.name

    def on(self, data: AbstractSet[str]) -> Choice:
        """Return the choice for images of data sets of these components, with its preset for the data set if any."""
        return next((self.for_data.get(name, self) for name in data), self) if len(data) == 1 else self

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """Return all params as JSON values, including defaults, with hashes in place of secrets."""
        hashed = {name: {key: _hash(text) for key, text in texts.items()} for name, texts in self.secrets.items()}
        return {**self.params.model_dump(mode="json"), **hashed}

    @property
    def hidden(self) -> list[str]:
        """Names of the secret params, which only the stage itself may see."""
        return [name for name, info in type(self.params).model_fields.items() if marker(info, Secret)]

    def parts(self) -> Iterator[Choice]:
        """Yield everything nested in the choice, then the choice itself."""
        beside = [inner for inner, _ in self.nested.values()] + [*self.for_data.values()]
        for choice in [*beside, *([self.backbone] if self.backbone else [])]:
            yield from choice.parts()
        yield self

    @cached_property
    def secrets(self) -> dict[str, dict[str, str]]:
        """Return the secret params by component; {} for nearly all components."""
        found = {name: dict(getattr(self.params, name)) for name in self.hidden}
        return {name: texts for name, texts in found.items() if texts}

    @cached_property
    def changed(self) -> dict[str, Any]:
        """Return the params that differ from their defaults, or have none, as JSON values."""
        fields = type(self.params).model_fields
        return {
            name: value
            for name, value in self.resolved.items()
            if getattr(self.params, name) != fields[name].get_default(call_default_factory=True)
            and not marker(fields[name], InPlace)
        }

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Return what can change a result: name, version and params, with contents in place of paths."""
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
    """Return the part of a file, folder or list of both (`folder` None) in the key; for a list, names are included.

    Bytecode that Python writes into listed folders is ignored.
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
    """Entry under `data`, or one derived for validation; `place` starts errors about its root."""

    name: str
    choice: Choice
    root: Path | None
    place: str = ""
    marked: bool | None = None  # whether the root is a stand-in's, if already known; None: not checked
    held_out: Mapping[str, Any] = field(default_factory=dict)  # how a part of train becomes query and gallery
    origin: str = ""  # name under `data` of the set from which a part is held out

    @property
    def stand_in(self) -> bool:
        """Whether the root is marked as a stand-in for the data set."""
        return self.root is not None and is_stand_in(self.root) if self.marked is None else self.marked


ALL_IMAGES = "all"  # of a data set: train, query and gallery together


@dataclass(frozen=True)
class DataRef:
    """Use of a data set: whole, or a subset of its identities (number or fraction) drawn with a seed.

    `images` selects the training images: the train part, or every image with an identity (`ALL_IMAGES`).
    """

    name: str
    identities: int | float | None = None
    subset_seed: int = 0
    images: str = "train"


@dataclass(frozen=True)
class Validation:
    """Data for choosing parameters or epochs: held-out source identities, another data set, or shipped queries."""

    kind: Literal["identities", "data", "queries"]
    identities: int | float | None = None
    data: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Task:
    """Column: data sets and their roles. `test` is ranked in place of the target; `validate` is the task's own.

    `judges` are the labels of its evaluators; empty for all of the file.

    `group` is the task's family, or empty. With `in_order`, a method trains on one source after the other, each time
    starting from its current network, instead of on all together.
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
        """Return the task's data sets for a role."""
        named = {"source": self.source, "target": (self.target,), "pool": self.pool, "auxiliary": self.auxiliary}
        return named.get(role, ())


PLACEHOLDERS = ("task", "seed", "part")  # in paths of feature files
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
BOTH = ""  # the part of a file with the features of both query and gallery


@dataclass(frozen=True)
class Features:
    """Feature files or folders of a row computed elsewhere: one for query and gallery, or one for each.

    Paths, by part, may contain {task}, {seed} and {part}. `uses` are the protocol words declared in the matrix file,
    None if there are none; `place` starts errors about the files: `file:line: key.key`.
    """

    paths: Mapping[str, Path]
    uses: tuple[str, ...] | None = None
    place: str = ""

    @property
    def seeded(self) -> bool:
        """Whether each seed has its own files."""
        return any("{seed}" in str(path) for path in self.paths.values())

    def files(self, task: str, seed: int) -> dict[str, str]:
        """Return the files of a task and seed by part: query and gallery, or BOTH."""
        alone = self.paths.get(BOTH)
        paths = dict.fromkeys(("query", "gallery"), alone) if alone and "{part}" in str(alone) else self.paths
        return {part: _filled(str(path), task=task, seed=str(seed), part=part) for part, path in paths.items()}


def _filled(path: str, **values: str) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], path)


@dataclass(frozen=True)
class Recipe:
    """Row: the steps of a method, the rows whose features an ensemble joins, or feature files.

    `backbone` and `settings` (image size and resizing) are defaults for the steps; a row of files has no backbone. With
    `flip_test`, the feature of a test image is the mean over the image and its mirror image. `search` marks a row
    filled by a search; `tuned` is the search's outcome by task.
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
        """Return the outcome of its search on a task; empty for a row without a search."""
        return self.tuned.get(task, NOT_BEGUN if self.search else NO_SEARCH)

    @property
    def variants(self) -> tuple[Recipe, ...]:
        """Return the row as run on its tasks: for a search, the rows with the best trials; otherwise the row itself."""
        return tuple(one.recipe for one in self.tuned.values() if one.recipe) or (self,)


@dataclass(frozen=True)
class Setup:
    """Network and image settings of a step: its own, or those of the enclosing step, row or file."""

    backbone: Choice
    settings: Mapping[str, Any]  # `image_size` and resizing

    def of(self, choice: Choice) -> Setup:
        """Return the setup of a component nested in this one."""
        if choice.backbone is None and not choice.settings:
            return self
        return Setup(choice.backbone or self.backbone, {**self.settings, **choice.settings})

    @cached_property
    def size(self) -> ImageSize:
        """Image size and resizing."""
        return ImageSize.of(self.settings)


@dataclass(frozen=True)
class Expected:
    """Cell of the matrix and the published row that it is compared with."""

    method: str
    task: str
    component: str  # component of the method whose paper or code has the row
    numbers: tuple[Published, ...]


@dataclass(frozen=True)
class Benchmark:
    """Whole validated matrix file."""

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
    few: int = 0  # number of identities of each data set with a root in a rehearsal; 0: all
    pictures: Mapping[str, str] = field(default_factory=dict)  # `resize`, `resize_test`, `crop_from` as written
    backbone: Choice | None = None  # of methods without their own
    profile: bool = False  # whether to measure the cost of networks too
    validate: Validation | None = None  # of tasks without their own
    expect: tuple[Expected, ...] = ()
    published: tuple[Published, ...] = ()  # printed below the table, with tasks named as in the file
    claims: tuple[Claim, ...] = ()  # about its rows; they affect no stage
    claim_rule: ClaimRule = USUAL_RULE
    text: str = field(default="", repr=False)  # of the matrix file, as read
    digest: str = ""  # SHA-256 of the file if `text` is not all of it

    @property
    def sha256(self) -> str:
        """SHA-256 of the matrix file in UTF-8; empty without text."""
        return self.digest or (hashlib.sha256(self.text.encode()).hexdigest() if self.text else "")

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Return every choice once; nested ones, networks of steps and presets for data sets precede their owner."""
        first = [source.choice for source in self.data.values()] + [*self.evaluate]
        first += [self.backbone] if self.backbone else []
        for recipe in self.methods:
            first += [*([recipe.backbone] if recipe.backbone else []), *(choice for _, choice in recipe.steps)]
        return tuple({id(choice): choice for one in first for choice in one.parts()}.values())

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return frozenset(name for choice in self.choices for name in choice.hidden)

    def without_secrets(self, text: str) -> str:
        """Return a YAML text, such as the file's, with all secrets blanked."""
        values = {value for choice in self.choices for texts in choice.secrets.values() for value in texts.values()}
        return without_secrets(text, self._hidden, values)

    def public_words(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command line with secrets in `--set` values blanked."""
        found = []
        for word in words:
            key, equals, value = word.partition("=")
            if equals:
                value = BLANK if self._hidden & set(key.split(".")) else self.without_secrets(value)
            found.append(f"{key}{equals}{value}")
        return found

    @cached_property
    def public_text(self) -> str:
        """Text of the matrix file with secrets blanked, safe to publish."""
        return self.without_secrets(self.text)

    @property
    def size(self) -> ImageSize:
        """Default image size and resizing of methods and steps."""
        return ImageSize.of({"image_size": self.image_size, **self.pictures})

    def setup(self, recipe: Recipe) -> Setup:
        """Return the default setup of a method's steps."""
        assert recipe.backbone is not None  # only rows of files have no backbone
        return Setup(recipe.backbone, {"image_size": self.image_size, **self.pictures, **recipe.settings})

    def test_size(self, recipe: Recipe) -> ImageSize | None:
        """Return the image size used for testing a method, that of its last step; None if undeclared."""
        if recipe.features:
            return ImageSize.of({**self.pictures, **recipe.settings}) if "image_size" in recipe.settings else None
        return self.setup(recipe).of(recipe.steps[-1][1]).size


def marker(info: FieldInfo, kind: type) -> Any:
    """Return the annotation of that class on a Params field or a member of its union (`FileParam | None`), or None."""
    of_members = (mark for member in get_args(info.annotation) for mark in getattr(member, "__metadata__", ()))
    return next((mark for mark in (*info.metadata, *of_members) if isinstance(mark, kind)), None)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)  # `json.dumps` creates one per call


def canonical(value: Any) -> str:
    """Return the canonical JSON text of a value. Raises ValueError for values that JSON cannot represent exactly."""
    return _ENCODER.encode(value)
