"""Rows to look at: stored features, labels, images and networks, of a plan or of the stages that a store records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.data import Split
from reidbench.errors import ReidbenchError, StoreError
from reidbench.files.names import shown
from reidbench.matrix.kinds import EMBEDDERS
from reidbench.matrix.stage import DataInput, Stage
from reidbench.report.breakdown.scored import ODD, Scored, Unknown, explaining, features_of
from reidbench.report.options import Pictures
from reidbench.stages.inputs import images_root
from reidbench.store.artifact import Artifact, DamagedArtifact
from reidbench.store.artifacts import Store

PARTS = ("query", "gallery")


@dataclass(frozen=True)
class Place:
    """Result of a row in a store: its `evaluations` (keys) by evaluator, and the `stages` behind them."""

    name: str
    store: Store
    stages: Mapping[str, Stage]
    evaluations: Mapping[str, str]
    pictures: Pictures = "all"


class Subject:
    """One row. Raises Unknown with the reason if its features or labels cannot be read.

    Rankings are those of the first evaluator that ranks by distances of features. `unranked` is the reason without one.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.name = place, place.name
        with explaining():
            key = next(iter(place.evaluations.values()))
            self.embeds = tuple(place.stages[parent] for _, parent in place.stages[key].parents)
            self.columns: Mapping[str, Any] = features_of(place.store, self.embeds)
            self.data = place.stages[self.embeds[0].data[0].key]
            artifact = place.store.read(self.data.key)
            given = images_root(artifact, self.data.root)
            self.splits = {part: Split.load(artifact.path / f"{part}.json", given) for part in PARTS}
            self._check()
        self.unranked, self.evaluator = "", ""
        self.scored = self._scored()

    @property
    def images(self) -> bool:
        """Whether images of the target may be shown."""
        return self.place.pictures == "all" or (self.place.pictures == "rendered" and self.data.root is None)

    @property
    def real(self) -> str:
        """Name of the data set if its images are shown and not rendered, or ""."""
        return self.data.label.removeprefix("data ") if self.images and self.data.root is not None else ""

    @property
    def distance(self) -> str:
        """Distance of the ranking: cosine or euclidean."""
        return self.scored.rules.distance if self.scored else "cosine"

    def path(self, part: str, index: int) -> Path:
        """Return the path of an image."""
        return self.splits[part].root / self.splits[part].paths[index]

    def _check(self) -> None:
        """Raise Unknown if the columns do not fit the images of the target."""
        for part, split in self.splits.items():
            features, pids, camids = (self.columns[f"{part}_{name}"] for name in ("features", "pids", "camids"))
            if features.ndim != 2 or features.dtype.kind != "f" or not np.isfinite(features).all():
                raise Unknown(ODD)
            if not len(split) == len(features) == len(pids) == len(camids):
                raise Unknown("its features are of other images than the target's")
        if self.columns["query_features"].shape[1] != self.columns["gallery_features"].shape[1]:
            raise Unknown(ODD)

    def _scored(self) -> Scored | None:
        """Return the first evaluation whose average precision the features reproduce, on a sample of its queries."""
        for evaluator, key in self.place.evaluations.items():
            try:
                with explaining():
                    scored = Scored.read(self.place.store, self.place.stages, key)
                    order = np.flatnonzero(scored.valid)
                    scored.ranked(order[np.linspace(0, len(order) - 1, min(40, len(order))).astype(int)])
                    self.evaluator = evaluator
                    return scored
            except Unknown as reason:
                self.unranked = self.unranked or str(reason)
        return None

    @cached_property
    def networks(self) -> tuple[tuple[Artifact, bool], ...]:
        """Artifact of the network of each member, and whether it averages mirror images.

        Raises Unknown for features from files or programs, and for networks that are not in the store.
        """
        found = []
        with explaining():
            for embed in self.embeds:
                trained = [key for role, key in embed.parents if role in EMBEDDERS]
                if not trained:
                    raise Unknown(f"it has features but no network ({embed.label})")
                try:
                    found.append((self.place.store.read(trained[0]), embed.params.get("flip") is True))
                except KeyError:
                    raise Unknown("its network is not in the store (packs have none)") from None
        return tuple(found)


def recorded(store: Store, artifact: Artifact, pictures: Pictures) -> Place:
    """Return the row of a result's artifact, from the stages that the store records.

    Raises StoreError for an artifact of another kind, or if one behind it is missing.
    """
    kind = artifact.need("stage", "kind")
    if kind != "evaluate":
        raise StoreError(
            f"{artifact.key} is the artifact of a stage {kind!r}; `reidbench look` requires the key of a result (see "
            "`reidbench table FILE --format json`)"
        )
    stages: dict[str, Stage] = {}
    waiting = [artifact]
    while waiting:
        one = waiting.pop()
        stages[one.key] = stage = _stage(one)
        wanted = [*(key for _, key in stage.parents), *(given.key for given in stage.data)] if one is artifact else []
        wanted += [given.key for given in stage.data] if stage.kind == "embed" else []
        for key in wanted:
            try:
                waiting.append(store.read(key))
            except KeyError:
                raise StoreError(f"{key}, on which the result depends, is no longer in the store") from None
    return Place(f"{artifact.label} ({artifact.key[:8]})", store, stages, {artifact.label: artifact.key}, pictures)


def _stage(artifact: Artifact) -> Stage:
    """Return the stage that a manifest records. Raises DamagedArtifact if it has another form."""
    given = artifact.need("stage")
    try:
        return Stage(
            artifact.key,
            str(given["kind"]),
            str(given["use"]),
            dict(given["params"]),
            tuple((str(role), str(key)) for role, key in given["parents"]),
            tuple(DataInput(**one) for one in given["data"]),
            root=given.get("root"),
            label=artifact.label,
        )
    except (KeyError, TypeError, ValueError):
        raise DamagedArtifact(artifact.key, f"{artifact.path}: its manifest records no readable stage") from None


def query_number(subject: Subject, words: str) -> int | None:
    """Return the index of a query given as its number from 1 or as (the end of) its path; None if there is none.

    Raises ReidbenchError for a number that is too large, and for a name that several queries have.
    """
    paths: Sequence[str] = subject.splits["query"].paths
    if words.isascii() and words.isdecimal():
        number = int(words) if len(words) < 10 else 0
        if not 1 <= number <= len(paths):
            raise ReidbenchError(f"--query {words[:20]}: {subject.name} has queries 1 to {len(paths)}")
        return number - 1
    found = [index for index, path in enumerate(paths) if path == words or path.endswith(f"/{words}")]
    if len(found) > 1:
        name = shown(words)
        raise ReidbenchError(f"--query {name}: {len(found)} queries have this name; give more of the path")
    return found[0] if found else None
