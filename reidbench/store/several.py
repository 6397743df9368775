"""Several stores read as one. Begin with `open_stores`."""

from __future__ import annotations

import contextlib
import heapq
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from reidbench.errors import StoreError
from reidbench.files.names import shown

from .artifact import Artifact, BadArtifact
from .artifacts import Store
from .kept import KeptBoard

NAMED = 10  # conflicts that are listed; the rest is counted
CONTENT = ("metrics", "files", "stage")
Found = TypeVar("Found")


def open_stores(roots: Sequence[Path]) -> Store:
    """Return the store of these folders: an ordinary one for one folder, a read-only one for several different ones.

    Raises StoreError if one of several is not a folder: a wrong name would silently omit its results.
    """
    places: dict[str, Path] = {}
    for root in roots:
        places.setdefault(os.path.realpath(root), root)
    different = list(places.values())
    if len(different) == 1:
        return Store(different[0])
    for root in different:
        if not root.is_dir():
            raise StoreError(f"{root}: no such folder; each of several --store must exist")
    return Stores(different)


def joined(store: Store) -> str:
    """Return the folders of a store for a message."""
    return " and ".join(shown(root) for root in store.roots)


def refusal(command: str, roots: Sequence[Path]) -> str:
    """Return the error of a command that writes and so accepts only one store, with a fix."""
    return f"{command} writes to one store, but {len(roots)} are given; {_cure(roots)}"


def _cure(roots: Sequence[Path]) -> str:
    return (
        f"merge them first: `{shlex.join(['reidbench', 'merge', *map(str, roots)])} --store NEW`, and use --store NEW"
    )


class Stores(Store):
    """Read-only union of stores: each artifact comes from the first store that has it intact."""

    def __init__(self, roots: Sequence[Path]) -> None:
        super().__init__(roots[0])
        self.parts = tuple(map(Store, roots))
        self._compared: dict[str, list[str]] = {}

    @property
    def roots(self) -> list[Path]:
        """The folders of all stores, in order."""
        return [store.root for store in self.parts]

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Reject every write, since all of them start here. Raises StoreError."""
        raise StoreError(f"several stores are read-only; {_cure(self.roots)}")
        yield

    def path(self, key: str) -> Path:
        """Return the path of the artifact in the first store that has it, or its path in the first of all."""
        return next((store for store in self.parts if store.has(key)), self.parts[0]).path(key)

    def has(self, key: str) -> bool:
        """Return whether one of the stores has published an artifact of that key."""
        return any(store.has(key) for store in self.parts)

    def keys(self) -> set[str]:
        """Return the keys of the published artifacts of all stores."""
        return set().union(*(store.keys() for store in self.parts))

    def manifest(self, key: str) -> Artifact:
        """Return `Store.manifest` of the first store that has it intact."""
        return self._first(key, lambda store: store.manifest(key))

    def with_facts(self, key: str, names: tuple[str, ...]) -> tuple[Artifact, Mapping[str, Any]]:
        """Return `Store.with_facts` of the first store that has it intact."""
        return self._first(key, lambda store: store.with_facts(key, names))

    def facts(self, key: str, names: tuple[str, ...]) -> Mapping[str, Any]:
        """Return `Store.facts` of the first store that has it intact."""
        return self._first(key, lambda store: store.facts(key, names))

    def read(self, key: str) -> Artifact:
        """Return `Store.read` of the first store that has it intact."""
        return self._first(key, lambda store: store.read(key))

    def glance(self, key: str) -> tuple[str, int] | None:
        """Return `Store.glance` of the first store that has a result."""
        return next(filter(None, (store.glance(key) for store in self.parts)), None)

    def failure(self, key: str) -> str | None:
        """Return why the stage last failed, from the first store that recorded it, or None."""
        return next(filter(None, (store.failure(key) for store in self.parts)), None)

    def died(self, key: str) -> bool:
        """Return whether the process of the failed stage died, from the first store that recorded the failure."""
        return next((store.died(key) for store in self.parts if store.failure(key) is not None), False)

    def records(self) -> set[str]:
        """Return the keys of all manifests that one of the stores keeps without the artifact."""
        return set().union(*(store.records() for store in self.parts))

    def boards(self) -> Iterator[KeptBoard]:
        """Yield the boards of all stores by date, each once."""
        seen: set[str] = set()
        for one in heapq.merge(*(store.boards() for store in self.parts), key=lambda board: board.date):
            if one.digest not in seen:
                seen.add(one.digest)
                yield one

    def environment(self, digest: str) -> Mapping[str, str] | None:
        """Return the packages of a digest from the first store that has them intact; None if there is none."""
        return next(filter(None, (store.environment(digest) for store in self.parts)), None)

    def _first(self, key: str, ask: Callable[[Store], Found]) -> Found:
        """Return the answer of the first store with the intact artifact. Raises the first error of `Store.manifest`."""
        fault: BadArtifact | None = None
        for number, store in enumerate(self.parts):
            try:
                found = ask(store)
            except KeyError:
                continue
            except BadArtifact as error:
                fault = fault or error
                continue
            self._compare(key, store, self.parts[number + 1 :])
            return found
        raise fault or KeyError(key)

    # ------------------------------------------------------------------ conflicts
    def conflicts(self) -> list[str]:
        """Return a sentence for each artifact read that differs between the stores: the first ones and a count."""
        found = [sentence for sentences in self._compared.values() for sentence in sentences]
        more = len(found) - NAMED
        return [*found[:NAMED], f"{more} more artifacts differ between the stores"] if more > 0 else found

    def _compare(self, key: str, taken: Store, others: Sequence[Store]) -> None:
        """Record, once, differences of the later stores under the same key."""
        if key not in self._compared:
            there = [other for other in others if other.has(key)]
            self._compared[key] = list(filter(None, (_conflict(key, taken, other) for other in there)))


def _conflict(key: str, taken: Store, other: Store) -> str:
    """Return how an artifact differs between two stores; "" if it does not, or one copy is damaged."""
    try:
        one, two = taken.facts(key, CONTENT), other.facts(key, CONTENT)
    except (KeyError, BadArtifact):
        return ""
    different = "; ".join(differing(one, two))
    label = one.get("stage", {}).get("label", "a stage without a name")
    where = f"{taken.root} and {other.root}"
    return f"{label} ({key}): {where} differ in {different}; that of {taken.root} is used" if different else ""


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return differences in content between two manifests of one key: metrics, and files by their hashes."""
    return [*_different_metrics(one, other), *_different_files(one, other)]


def _different_metrics(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    ours, theirs = (manifest.get("metrics") or {} for manifest in (one, other))
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"{name} ({ours.get(name, 'none')}, {theirs.get(name, 'none')})"


def _different_files(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    ours, theirs = (manifest.get("files") or {} for manifest in (one, other))
    names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    if names:
        yield f"{'file' if len(names) == 1 else 'files'} {', '.join(names)}"
