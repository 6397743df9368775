"""Elements of a plan: stages, their input images, and rows."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.words import VALIDATION

from .benchmark import Benchmark
from .kinds import EMBEDDERS

Parents = tuple[tuple[str, str], ...]  # role -> key


@dataclass(frozen=True)
class DataInput:
    """Split of a data set given to a stage, with or without labels."""

    role: str
    data: str  # name in the matrix file
    key: str  # of the data stage
    part: str  # train | test (query and gallery) | all of them, with labels
    hidden: bool
    identities: int | float | None = None
    subset_seed: int = 0

    @property
    def identity(self) -> list[Any]:
        """The parts that enter a key."""
        return [self.role, self.key, self.part, self.hidden, self.identities, self.subset_seed]


@dataclass(frozen=True)
class Stage:
    """Unit of work. Its key identifies everything that can change its result."""

    key: str
    kind: str
    use: str
    params: dict[str, Any]
    parents: Parents = ()
    data: tuple[DataInput, ...] = ()
    backbone: dict[str, Any] | None = None
    image_size: tuple[int, int] = (256, 128)
    pictures: dict[str, str] = field(default_factory=dict)  # resizing to that size, if not the default
    seed: int = 0
    root: str | None = None  # data stages only; the location of data does not enter a key
    label: str = ""
    few: int = 0  # data stages only: number of identities kept in a rehearsal; 0: all
    content: str = ""  # of data and feature files: their contents when the plan was made
    files: dict[str, str] = field(default_factory=dict)  # feature files by part; their location does not enter a key
    changed: dict[str, Any] = field(default_factory=dict)  # params that differ from the defaults, for messages
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # values of secret params, for the stage only
    held_out: dict[str, Any] = field(default_factory=dict)  # data stages only: how train becomes query and gallery

    @property
    def size(self) -> ImageSize:
        """Image size and resizing."""
        return ImageSize.of({"image_size": self.image_size, **self.pictures})

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Keys of the stages that must be in the store first, each once."""
        return tuple(dict.fromkeys([key for _, key in self.parents] + [given.key for given in self.data]))


def profile_stage(key: str, parents: Parents, names: tuple[str, str], size: ImageSize, flip: bool) -> Stage:
    """Return the stage that measures the cost of an embedder; `names` are those of its last step and network."""
    params = {"flip": True} if flip else {}
    label = f"profile {names[0]} [{', '.join([names[1], size.words, *params])}]"
    place = (size[0], size[1])
    return Stage(key, "profile", "profile", params, parents, (), None, place, size.said, label=label, changed=params)


@dataclass(frozen=True)
class Row:
    """Line of the results: a method on a task, by an evaluator, with its seeds.

    `seed` is None if no stage behind the row depends on `seeds`: one result then applies to all of them. The same holds
    for `pretrain_seed` and `pretrain_seeds`; `pretrained` says whether the method pre-trains. `profiles` are the keys
    of the profile of each embedder of the row, "" for features from files. `lacks` is the status of a row without a
    key: not-applicable, or missing or failed like the search that fills it. `notes` are sentences about the row itself,
    not about a stage behind it.
    """

    method: str
    task: str
    evaluator: str
    seed: int | None
    pretrain_seed: int | None
    key: str | None  # None: not applicable
    reason: str = ""
    protocol: str = ""
    pretrained: bool = False
    profiles: tuple[str, ...] = ()
    lacks: str = "not-applicable"
    notes: tuple[str, ...] = ()

    @property
    def cell(self) -> tuple[str, str, str]:
        """Method, task and evaluator; rows averaged together share them."""
        return self.method, self.task, self.evaluator

    @property
    def ends(self) -> tuple[str, ...]:
        """Keys of everything that the row shows: its result and its profiles."""
        return tuple(filter(None, (self.key, *self.profiles)))


def matches(patterns: Iterable[str], method: str, task: str) -> bool:
    """Return whether a pattern like `bot*` or `*/market` matches a method, or one of its cells as "method/task"."""
    names = (method, f"{method}/{task}")
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def refuse_unmatched(patterns: Iterable[str], cells: Sequence[tuple[str, str]]) -> None:
    """Raise ReidbenchError for a pattern that matches none of the cells (method, task)."""
    for pattern in patterns:
        if not any(matches([pattern], *cell) for cell in cells):
            known = ", ".join(dict.fromkeys(method for method, _ in cells))
            raise ReidbenchError(f"--only {pattern!r} matches no method and no method/task (methods: {known})")


@dataclass
class Plan:
    """Stages by key, parents first, and rows."""

    benchmark: Benchmark
    stages: dict[str, Stage] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def only(self, keep: Sequence[Row]) -> Plan:
        """Return the part of the plan that these rows need."""
        wanted = self.behind(keep)
        stages = {key: stage for key, stage in self.stages.items() if key in wanted}
        return Plan(self.benchmark, stages | self._profiles(keep), list(keep))

    def matching(self, patterns: Sequence[str]) -> Plan:
        """Return the part of the plan for rows that match a pattern; all of it if there are no patterns.

        Raises ReidbenchError for a pattern that matches nothing.
        """
        refuse_unmatched(patterns, [(row.method, row.task) for row in self.rows])
        rows = [row for row in self.rows if matches(patterns, row.method, row.task)]
        return self.only(rows) if patterns else self

    def behind(self, rows: Sequence[Row]) -> set[str]:
        """Return the keys of the results of these rows and of all stages that they depend on."""
        wanted: set[str] = set()
        waiting = [row.key for row in rows if row.key]
        while waiting:
            key = waiting.pop()
            if key not in wanted:
                wanted.add(key)
                waiting += self.stages[key].needs
        return wanted

    def _profiles(self, keep: Sequence[Row]) -> dict[str, Stage]:
        """Return the profiles of these rows, each of the first embedder with its network."""
        found: dict[str, Stage] = {}
        for row in keep:
            for key, parent in zip(row.profiles, self.embedders(row), strict=True) if row.profiles else ():
                if key and key not in found:
                    found[key] = replace(self.stages[key], parents=(parent,))
        return found

    def embedders(self, row: Row) -> Parents:
        """Return role and key of each embedder of a row; both empty for features from files."""
        features = [self.stages[key] for _, key in self.stages[row.key].parents] if row.key else []
        trained = [[parent for parent in one.parents if parent[0] in EMBEDDERS] for one in features]
        return tuple(one[0] if one else ("", "") for one in trained)

    def trained_on(self, key: str) -> list[DataInput]:
        """Return the training data of the stages behind one, including pools, images of preparers and validation."""
        found: dict[DataInput, None] = {}
        waiting = [parent for _, parent in self.stages[key].parents]
        looked = set()
        while waiting:
            earlier = waiting.pop()
            if earlier not in looked:
                looked.add(earlier)
                waiting += [parent for _, parent in self.stages[earlier].parents]
                found |= dict.fromkeys(
                    given for given in self.stages[earlier].data if given.part != "test" or given.role == VALIDATION
                )
        return list(found)

    def reads(self, key: str) -> list[str]:
        """Return the keys of the artifacts that a stage reads; for embed, includes training lists to compare with."""
        stage = self.stages[key]
        behind = self.trained_on(key) if stage.kind == "embed" else []
        return list(dict.fromkeys([*stage.needs, *(given.key for given in behind)]))
