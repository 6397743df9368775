"""Stages and data behind a trained network, read from the manifests of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from reidbench.errors import ReidbenchError, StoreError
from reidbench.matrix.kinds import OF_STAGE
from reidbench.registry.plugins import Registry
from reidbench.store.artifact import Artifact
from reidbench.store.artifacts import Store
from reidbench.store.several import joined
from reidbench.words import DATA_SET_LABELS, UNKNOWN, is_supervision

Stage = Mapping[str, Any]  # as in a manifest
PREPARED = "prepared."  # prefix of a parent's role: a component nested in the stage's parameters


@dataclass(frozen=True)
class Lineage:
    """Artifacts of the steps that trained a network, its own last, of nested stages, and of their data by key."""

    steps: tuple[Artifact, ...]
    nested: tuple[Artifact, ...]
    data: Mapping[str, Artifact]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of steps and nested components, first ones first."""
        return tuple(one.need("stage") for one in (*self.nested, *self.steps))

    def named(self) -> dict[str, Artifact]:
        """Return the data stages by their names in the matrix file."""
        return {given["data"]: self.data[given["key"]] for stage in self.stages for given in stage["data"]}


def lineage(store: Store, artifact: Artifact) -> Lineage:
    """Return what is behind a network. Raises StoreError if the store no longer has a manifest of it."""
    steps: dict[str, Artifact] = {}
    nested: dict[str, Artifact] = {}
    data: dict[str, Artifact] = {}
    waiting = [(artifact, True)]
    while waiting:
        one, step = waiting.pop()
        (steps if step else nested).setdefault(one.key, one)
        for given in one.need("stage", "data"):
            data[given["key"]] = _manifest(store, given["key"], artifact)
        for role, key in one.need("stage", "parents"):
            waiting.append((_manifest(store, key, artifact), step and not role.startswith(PREPARED)))
    return Lineage(tuple(reversed(steps.values())), tuple(reversed(nested.values())), data)


def _manifest(store: Store, key: str, wanted: Artifact) -> Artifact:
    try:
        return store.manifest(key)
    except KeyError:
        raise StoreError(
            f"{key}, on which {wanted.label} ({wanted.key}) depends, is no longer in {joined(store)}, so its recipe is "
            "unknown; run the matrix file again"
        ) from None


def labels_behind(registry: Registry, found: Lineage) -> tuple[str, ...]:
    """Return the labels that the network and its initial weights were trained on, as words of the protocol column."""
    words: dict[str, None] = {}
    for stage in found.stages:
        backbone = stage["backbone"]
        component = OF_STAGE[stage["kind"]].component
        uses = [(component, stage["use"], stage["params"])]
        uses += [("backbone", backbone["use"], backbone["params"])] if backbone else []
        for kind, name, params in uses:
            words |= dict.fromkeys(_supervision(registry, kind, name, params))
        for given in stage["data"]:
            if not given["hidden"]:
                words[_label(given["data"], found.data[given["key"]])] = None
    return tuple(words)


def _supervision(registry: Registry, kind: str, name: str, params: Mapping[str, Any]) -> list[str]:
    """Return the words on labels behind the weights that a component starts from."""
    try:
        component = registry.get(kind, name)
        words = component.protocol_with(component.params(**params))
    except (ReidbenchError, ValidationError, OSError):  # the plugin or the file of its weights is gone
        return [UNKNOWN]
    return sorted(word for word in words if is_supervision(word))


def _label(name: str, data: Artifact) -> str:
    word = f"{name} labels"
    return word if DATA_SET_LABELS.fullmatch(word) else f"{data.need('stage', 'use')} labels"
