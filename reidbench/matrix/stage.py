"""What a plan is made of: stages, the images that they are given, and the rows that they end in."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from reidbench.data.pictures.size import ImageSize

from .benchmark import Benchmark
from .kinds import EMBEDDERS

Parents = tuple[tuple[str, str], ...]  # role -> key


@dataclass(frozen=True)
class DataInput:
    """A split that a stage is given: which data set, which part, with labels or without."""

    role: str
    data: str  # name in the matrix file
    key: str  # of the data stage
    part: str  # train | test (query and gallery) | all of them, with labels
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
    parents: Parents = ()
    data: tuple[DataInput, ...] = ()
    backbone: dict[str, Any] | None = None
    image_size: tuple[int, int] = (256, 128)
    pictures: dict[str, str] = field(default_factory=dict)  # how they come to that size, where it is not the default
    seed: int = 0
    root: str | None = None  # data stages only; where data lie is no part of a key
    label: str = ""
    few: int = 0  # data stages only: identities that are kept, in a rehearsal; 0: all
    content: str = ""  # of data and of files with features: what they contained when the plan was made
    files: dict[str, str] = field(default_factory=dict)  # with features, by part; where they lie is no part of a key
    changed: dict[str, Any] = field(default_factory=dict)  # params that differ from the defaults, for sentences
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # values of params, for the stage alone
    held_out: dict[str, Any] = field(default_factory=dict)  # data stages only: how train becomes query and gallery

    @property
    def size(self) -> ImageSize:
        """The size of its images, and how they come to it."""
        return ImageSize.of({"image_size": self.image_size, **self.pictures})

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Keys of the stages that must be there first, each once."""
        return tuple(dict.fromkeys([key for _, key in self.parents] + [given.key for given in self.data]))


def profile_stage(key: str, parents: Parents, names: tuple[str, str], size: ImageSize, flip: bool) -> Stage:
    """The stage that measures what an embedder costs; `names` are those of its last step and of its network."""
    params = {"flip": True} if flip else {}
    label = f"profile {names[0]} [{', '.join([names[1], size.words, *params])}]"
    place = (size[0], size[1])
    return Stage(key, "profile", "profile", params, parents, (), None, place, size.said, label=label, changed=params)


@dataclass(frozen=True)
class Row:
    """One line of the results: a method on a task, by an evaluator, with its seeds.

    `seed` is None where no stage behind the row depends on `seeds`: its one result stands for all of them. So is
    `pretrain_seed` where nothing depends on `pretrain_seeds`; `pretrained` says whether there is a pre-training.
    `profiles` are keys: what each embedder that the row ends in costs, "" for features that no network here made.
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

    @property
    def cell(self) -> tuple[str, str, str]:
        """Method, task and evaluator: the rows of one mean have the same."""
        return self.method, self.task, self.evaluator

    @property
    def ends(self) -> tuple[str, ...]:
        """The keys of all that the row shows: its result and its profiles."""
        return tuple(filter(None, (self.key, *self.profiles)))


def matches(pattern: str, method: str, task: str) -> bool:
    """Whether a method, or one of its cells as "method/task", is meant by a pattern like `bot*` or `*/market`."""
    return any(fnmatch.fnmatchcase(name, pattern) for name in (method, f"{method}/{task}"))


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
        return Plan(self.benchmark, stages | self._profiles(keep), list(keep))

    def _profiles(self, keep: Sequence[Row]) -> dict[str, Stage]:
        """The profiles of these rows, each of the first embedder of its network that they end in."""
        found: dict[str, Stage] = {}
        for row in keep:
            for key, parent in zip(row.profiles, self.embedders(row), strict=True) if row.profiles else ():
                if key and key not in found:
                    found[key] = replace(self.stages[key], parents=(parent,))
        return found

    def embedders(self, row: Row) -> Parents:
        """Role and key of each embedder that a row ends in; both empty for features that no network here made."""
        features = [self.stages[key] for _, key in self.stages[row.key].parents] if row.key else []
        trained = [[parent for parent in one.parents if parent[0] in EMBEDDERS] for one in features]
        return tuple(one[0] if one else ("", "") for one in trained)

    def trained_on(self, key: str) -> list[DataInput]:
        """What the stages behind one were given to train on, pools and preparers' images among it."""
        found: dict[DataInput, None] = {}
        waiting = [parent for _, parent in self.stages[key].parents]
        looked = set()
        while waiting:
            earlier = waiting.pop()
            if earlier not in looked:
                looked.add(earlier)
                waiting += [parent for _, parent in self.stages[earlier].parents]
                found |= dict.fromkeys(given for given in self.stages[earlier].data if given.part != "test")
        return list(found)

    def reads(self, key: str) -> list[str]:
        """Keys of the artifacts that a stage reads: what it needs and, to embed, the lists that it is compared with."""
        stage = self.stages[key]
        behind = self.trained_on(key) if stage.kind == "embed" else []
        return list(dict.fromkeys([*stage.needs, *(given.key for given in behind)]))
