"""Features, labels and rules behind a result, used only if ranking them again reproduces the scores.

Evaluators do not store whole rankings. They are recomputed from the stored features, and their average precision is
compared with the stored one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reidbench.errors import DataError
from reidbench.matrix.stage import Stage
from reidbench.metrics import Labelled, MetricError, Ranking, Rules, rank, rank_labelled
from reidbench.metrics.products import Products
from reidbench.report.provenance import Evidence
from reidbench.report.queries import read_arrays, read_notes
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

JUNK = -1
MADE = ("pool", "multi_query", "shots")  # rules that pool or draw queries or gallery images
SAME = 1e-6  # tolerance of average precision
GONE = "its features or labels are no longer in the store"
ODD = "its features or labels do not have the expected form"
RECORDED = (
    "the store has only the manifest of its features: they were removed, or come from a pack, which has no labels and "
    "features in half precision at most, which may rank differently"
)


class Unknown(Exception):
    """Raised with the reason why something cannot be shown."""


@contextmanager
def explaining() -> Iterator[None]:
    """Convert exceptions from reading artifacts to Unknown with a reason."""
    try:
        yield
    except (KeyError, BadArtifact):
        raise Unknown(GONE) from None
    except (DataError, IndexError, ValueError, TypeError):
        raise Unknown(ODD) from None


@dataclass(frozen=True)
class Scored:
    """One result: `ap` and `valid` [Q] as its evaluator stored them, and the features, labels and rules.

    `columns` are {query,gallery}_{features,pids,camids}, optionally _images (numbers of shared images), _clothes,
    _modality and _tracklets; features of an ensemble are concatenated. `embeds` are the stages of the features.
    """

    ap: np.ndarray
    valid: np.ndarray
    rules: Rules
    columns: Mapping[str, Any]
    embeds: tuple[Stage, ...]

    @classmethod
    def of(cls, evidence: Evidence, key: str) -> Scored:
        """Return the evaluation with a key. Raises Unknown, and exceptions that `explaining` converts."""
        return cls.read(evidence.store, evidence.plan.stages, key)

    @classmethod
    def read(cls, store: Store, stages: Mapping[str, Stage], key: str) -> Scored:
        """As `of`, from the stages of the result and of its features."""
        artifact = store.read(key)
        arrays, rules = read_arrays(artifact, "per_query.npz"), _rules(read_notes(artifact).get("rules"))
        ap, valid = arrays.get("ap"), arrays.get("valid")
        if ap is None or valid is None or ap.shape != valid.shape:
            raise Unknown("its evaluator stores no average precision per query")
        embeds = tuple(stages[parent] for _, parent in stages[key].parents)
        columns = features_of(store, embeds)
        if len(columns["query_pids"]) != len(ap):
            raise Unknown("its evaluator used queries that differ from the target's")
        return cls(ap, valid, rules, columns, embeds)

    @property
    def images(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Image numbers of query and gallery if they share images: no query is matched with its own image."""
        query, gallery = self.columns.get("query_images"), self.columns.get("gallery_images")
        return None if query is None or gallery is None else (query, gallery)

    def ranked(self, some: np.ndarray, by_camera: bool = False) -> Ranking:
        """Rank some queries, by number, again. Raises Unknown if their AP differs from the stored one."""
        if made := [name for name in MADE if name in self.rules.labelled]:
            raise Unknown(f"its rules ({', '.join(made)}) do not rank single gallery images for each query image")
        if by_camera and self.rules.labelled:
            raise Unknown(f"true matches by camera are not defined under its rules ({', '.join(self.rules.labelled)})")
        try:
            again = self._labelled(some) if self.rules.labelled else self._plain(some, by_camera)
        except MetricError as error:
            raise Unknown(f"its features cannot be ranked: {error}") from None
        valid = self.valid[some].astype(bool)
        same = np.array_equal(again.valid, valid) and np.allclose(again.ap[valid], self.ap[some][valid], 0, SAME)
        if not same:
            raise Unknown(
                "its evaluator changes the ranking of the features (re-ranking, query expansion) and does not store it"
            )
        return again

    def _plain(self, some: np.ndarray, by_camera: bool) -> Ranking:
        c = self.columns
        images = {} if self.images is None else {"query_images": self.images[0][some], "gallery_images": self.images[1]}
        return rank(
            c["query_features"][some],
            c["query_pids"][some],
            c["query_camids"][some],
            c["gallery_features"],
            c["gallery_pids"],
            c["gallery_camids"],
            replace(self.rules, cmc="images"),  # AP does not change; lists and cameras require images
            by_camera=by_camera,
            **images,
        )

    def _labelled(self, some: np.ndarray) -> Ranking:
        """Rank queries under rules limited to their cameras, since rules may name others."""
        there = set(self.columns["query_camids"][some].tolist())
        skipped = tuple(pair for pair in self.rules.skip_cameras if pair[0] in there)
        rules = replace(self.rules, query_cameras=(), skip_cameras=skipped, cmc="images")
        query, gallery = self._side("query"), self._side("gallery")
        return rank_labelled(query.take(some), gallery, rules)

    def _side(self, side: str) -> Labelled:
        c = self.columns
        more = {word: c.get(f"{side}_{word}") for word in ("clothes", "modality", "tracklets")}
        images = None if self.images is None else c[f"{side}_images"]
        return Labelled(c[f"{side}_features"], c[f"{side}_pids"], c[f"{side}_camids"], images, **more)

    def order(self, query: int) -> np.ndarray:
        """Return gallery rows by distance, without junk and rows that the rules exclude for this query."""
        order = self.order_of_all(query)
        kept: np.ndarray = order[self.kept(query)[order]]
        return kept

    def order_of_all(self, query: int) -> np.ndarray:
        """Return all gallery rows by distance; tied ones by the evaluator's rule, as in its ranking."""
        c, one = self.columns, np.array([0])
        products = Products(c["query_features"][[query]], c["gallery_features"], self.rules.distance)
        keys = products.rows(one)[0]
        first = np.argsort(keys, kind="stable")
        groups = np.empty(len(keys), np.int64)
        groups[first] = np.cumsum(np.diff(keys[first], prepend=-np.inf) > products.tolerance(one)[0])
        same = c["gallery_pids"] == c["query_pids"][query]
        late = {"worst": same, "best": ~same}.get(self.rules.ties, np.zeros(len(keys), bool))
        order: np.ndarray = np.lexsort((np.arange(len(keys)), late, groups))
        return order

    def kept(self, query: int) -> np.ndarray:
        """Return [G] bool: the gallery rows that a query is compared with."""
        c, rules = self.columns, self.rules
        camid, camids, same = c["query_camids"][query], c["gallery_camids"], c["gallery_pids"] == c["query_pids"][query]
        kept = np.asarray(c["gallery_pids"] != JUNK)
        if rules.camera == "market1501" and camid >= 0:
            kept &= ~(same & (camids == camid))
        if self.images is not None:
            kept &= self.images[1] != self.images[0][query]
        if rules.gallery_cameras:
            kept &= np.isin(camids, rules.gallery_cameras)
        kept &= ~np.isin(camids, dict(rules.skip_cameras).get(int(camid), ()))
        if rules.cross and (word := c["query_modality"][query]):
            kept &= c["gallery_modality"] != word
        if rules.exclude and (own := c["query_clothes"][query]) >= 0:
            theirs = c["gallery_clothes"]
            removed = theirs == own if "same-clothes" in rules.exclude else theirs != own
            kept &= ~(same & (theirs >= 0) & removed)
        return kept


def features_of(store: Store, embeds: Sequence[Stage]) -> dict[str, Any]:
    """Return the columns of a row, with the features of an ensemble concatenated. Raises as `Scored.of`."""
    return _joined([_features(store, stage) for stage in embeds])


def _features(store: Store, embed: Stage) -> dict[str, Any]:
    try:
        return read_arrays(store.read(embed.key), "features.npz")
    except KeyError:
        raise Unknown(gone(store, embed)) from None


def gone(store: Store, embed: Stage) -> str:
    """Return the reason why a store lacks the features of an embed stage."""
    try:
        store.manifest(embed.key)
    except (KeyError, BadArtifact):
        return GONE
    return RECORDED


def _rules(noted: Any) -> Rules:
    """Return the rules that an evaluator noted. Raises Unknown if they do not name a distance of features."""
    try:
        rules = Rules(**noted)
    except (TypeError, MetricError):
        raise Unknown("its evaluator records no ranking rules") from None
    if rules.distance == "given":
        raise Unknown("its evaluator ranks by other distances (re-ranking), which are not stored")
    return rules


def _joined(loaded: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the features of a method, or the concatenated unit vectors of an ensemble."""
    joined = dict(loaded[0])
    if len(loaded) > 1:
        for side in ("query_features", "gallery_features"):
            joined[side] = np.concatenate([_unit(columns[side]) for columns in loaded], 1)
    return joined


def _unit(features: np.ndarray) -> np.ndarray:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12))


def distances_of(query: np.ndarray, gallery: np.ndarray, distance: str) -> np.ndarray:
    """Return [G]: cosine or squared Euclidean distance of one query [D] to a gallery [G, D]."""
    if distance == "cosine":
        return np.asarray(1 - _unit(gallery) @ _unit(query))
    return np.asarray(((gallery - query) ** 2).sum(1))
