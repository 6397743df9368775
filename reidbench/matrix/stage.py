"""One piece of work of a plan, and the images that it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from reidbench.data.pictures.size import ImageSize

Parents = tuple[tuple[str, str], ...]  # role -> key


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
