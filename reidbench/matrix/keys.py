"""Keys of stages: hashes of everything that can change a result, including the seed if it is used, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reidbench.components import Component, Params, load_attribute
from reidbench.data import fingerprint_file, fingerprint_folder, is_stand_in
from reidbench.data.pictures.size import ImageSize
from reidbench.data.standin import STAND_IN
from reidbench.words import BACKBONE_FREE, SEEDLESS

from .benchmark import ALL_IMAGES, Benchmark, Choice, Setup, Task, canonical
from .devices import devices_for, machine
from .kinds import TRAINED, Kind
from .stage import DataInput, Parents

KEY_VERSION = 2  # bump when the computation of keys changes
FEATURES_VERSION = 1  # bump when the reading of feature files changes
PROFILE_VERSION = 1  # bump when a profile measures something else
SEEDS, PRETRAIN_SEEDS, PREPARE_SEED = "seeds", "pretrain_seeds", "prepare_seed"  # keys of a matrix file
NONE: Mapping[str, Any] = {}
NETWORK = 16  # digits of a profile's key that identify the network; the same number after them identifies the machine
NO_SEED = 0  # in the key of a stage without a seed, so results of seed 0 in older stores stay valid


class Keys:
    """Keys of the stages of one benchmark; caches the parts that thousands of stages share."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        self._settings: dict[tuple[Any, ...], str] = {}  # by image size and devices
        self._choices: dict[int, tuple[Choice, str]] = {}

    def of_stage(
        self,
        kind: str,
        choice: Choice | None,
        parents: Parents,
        data: tuple[DataInput, ...],
        backbone: Choice | None,
        seed: int,
        size: ImageSize,
        settings: Mapping[str, Any] = NONE,
    ) -> str:
        """Return the key of a stage other than a data stage.

        `settings` are those of a stage without a component, or anything else that distinguishes the stage; empty
        settings do not enter the key. Raises OneDevice if its component does not support several devices.
        """
        devices = devices_for(kind, choice.component, choice.params, self._benchmark.devices) if choice else 1
        own = [dict(settings)] if settings else []
        given = canonical([parents, [one.identity for one in data], seed, *own])
        return _digest(
            "|".join((self._setting(size, devices), kind, self._choice(choice), self._choice(backbone), given))
        )

    def of_profile(
        self, steps: Sequence[tuple[str, Choice, Setup]], task: Task, data_key: Callable[[str], str], flip: bool
    ) -> str:
        """Return the key of the profile of the embedder made by these steps: the network, then the machine.

        Seeds, data and `rehearsal` settings are not included, since they do not change the network, except for a method
        that uses cameras, whose network may have a part for each.
        """
        cameras = any("cameras" in choice.component.protocol_with(choice.params) for _, choice, _ in steps)
        refs = [(role, ref) for role in ("source", "target") for ref in task.refs(role)] if cameras else []
        data = [
            [role, data_key(ref.name), ref.identities, ref.subset_seed, *([ref.images] * (ref.images == ALL_IMAGES))]
            for role, ref in refs
        ]
        networks = [
            [step, _network(choice), _network(setup.backbone), setup.size, setup.size.said]
            for step, choice, setup in steps
        ]
        network = canonical([KEY_VERSION, "profile", PROFILE_VERSION, networks, data, flip])
        return f"{_digest(network)[:NETWORK]}{_digest(self._machine)[:NETWORK]}"

    @cached_property
    def _machine(self) -> str:
        return machine(self._benchmark.threads)

    def _setting(self, size: ImageSize, devices: int) -> str:
        """Return the canonical JSON of the settings that every stage depends on, with this size and these devices."""
        place = (size, size.resize, size.resize_test, size.crop_from, devices)  # the same size may differ in resizing
        if place not in self._settings:
            given = self._benchmark
            said = size.said  # not part of the key at their defaults
            pictures = [size, said] if said else size
            whole = [KEY_VERSION, pictures, given.threads, given.precision, devices]
            self._settings[place] = canonical(whole)
        return self._settings[place]

    def _choice(self, choice: Choice | None) -> str:
        if choice is None:
            return ""
        if id(choice) not in self._choices:  # the choice stays referenced, so its id is not reused
            self._choices[id(choice)] = choice, canonical(choice.identity)
        return self._choices[id(choice)][1]


def data_key(choice: Choice, content: str, few: int = 0, held_out: Mapping[str, Any] = NONE) -> str:
    """Return the key of a data stage; `content` comes from `content_of`.

    A component's own fingerprint function selects the params that matter; by default all params count, with the names
    and contents of the files under the root. `few` is the number of identities kept, 0 for all; `held_out` says how a
    part of train becomes query and gallery.
    """
    if choice.component.fingerprint:
        identity = [choice.name, choice.component.version, content]
    else:
        identity = [choice.identity, content] if content else [choice.identity]
    kept = {**({"few": few} if few else {}), **({"held_out": dict(held_out)} if held_out else {})}
    return _digest(canonical([KEY_VERSION, "data", *identity, *([kept] if kept else [])]))


def _network(choice: Choice) -> dict[str, Any]:
    """Return everything in a choice that may change the network; its `rehearsal` is declared not to."""
    identity = choice.identity
    params = {name: value for name, value in identity["params"].items() if name not in choice.component.rehearsal}
    return {**identity, "params": params}


def of_network(key: str, published: Iterable[str]) -> list[str]:
    """Return the profile keys among `published` for the network of a profile's key, its own first."""
    return sorted((one for one in published if one[:NETWORK] == key[:NETWORK]), key=lambda one: (one != key, one))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def content_of(component: Component, params: Params, root: Path | None) -> str:
    """Return the component's own fingerprint, or the hash of all names and contents under the root; "" without a root.

    A stand-in differs from an unmarked folder of the same files. Raises DataError if files cannot be read.
    """
    mark = f" {STAND_IN}" if root is not None and is_stand_in(root) else ""
    if component.fingerprint:
        return str(load_attribute(component.fingerprint)(params, root)) + mark
    if root is None:
        return ""
    return (fingerprint_folder(root) if root.is_dir() else fingerprint_file(root)) + mark


def features_content(files: Mapping[str, str]) -> str:
    """Return the hashes of feature files or folders, ordered by part. Raises DataError like `content_of`."""
    places = [Path(files[part]) for part in sorted(files)]
    return ", ".join(fingerprint_folder(place) if place.is_dir() else fingerprint_file(place) for place in places)


def features_key(files: Mapping[str, str], content: str, data: Sequence[DataInput]) -> str:
    """Return the key of an embed stage that reads feature files: from their contents by part, and the images."""
    given = [one.identity for one in data]
    return _digest(canonical([KEY_VERSION, "features", FEATURES_VERSION, sorted(files), content, given]))


def short(content: str) -> str:
    """Return a hash of 32 digits of what `content_of` returned."""
    return _digest(content)


# ---------------------------------------------------------------------- seeds
@dataclass(frozen=True)
class Made:
    """Stage as a parent of others: role, key, names of the seeds that it depends on, and image size."""

    role: str
    key: str
    seeds: frozenset[str]
    size: ImageSize


@dataclass(frozen=True)
class StageSeed:
    """Seed in a stage's key, its words in the label, and the names of all seeds that the stage depends on."""

    number: int
    words: str
    names: frozenset[str]


def parents_of(made: Sequence[Made]) -> Parents:
    """Return the parents of a stage as they enter its key."""
    return tuple((parent.role, parent.key) for parent in made)


def behind(parents: Sequence[Made]) -> frozenset[str]:
    """Return the names of the seeds that the parents depend on."""
    return frozenset(name for parent in parents for name in parent.seeds)


def stage_seed(
    kind: Kind, choice: Choice, backbone: Choice | None, parents: Sequence[Made], name: str, number: int
) -> StageSeed:
    """Return the seed of a component's stage, called `name` in a matrix file.

    A stage without randomness has none, unless a parent depends on the same seed: then each seed has its own stage.
    """
    names = behind(parents)
    if _draws(kind, choice, backbone, parents):
        names |= {name}
    own = name in names
    return StageSeed(number if own else NO_SEED, in_words(number, names, name), names)


def in_words(number: int, names: frozenset[str], name: str = SEEDS) -> str:
    """Return a seed for a label: `seed 1`, or `no seed` if it is not among the `names` that a stage depends on."""
    return f"seed {number}" if name in names else "no seed"


def _draws(kind: Kind, choice: Choice, backbone: Choice | None, parents: Sequence[Made]) -> bool:
    """Return whether a stage depends on its own seed, through its component or a randomly initialised network."""
    traits = choice.component.traits_with(choice.params)
    if SEEDLESS not in traits:
        return True
    starts = kind.leaves and BACKBONE_FREE not in traits and not any(parent.role in TRAINED for parent in parents)
    return bool(starts) and (backbone is None or SEEDLESS not in backbone.component.traits_with(backbone.params))
