"""Ranked lists of single queries: every gallery image in order, with right, wrong and ignored ones marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from reidbench.report.breakdown.scored import JUNK, Unknown, distances_of, explaining

from .subject import Subject

Mark = Literal["yes", "no", "ignored", "open"]
MOST_IGNORED = 10  # of a list


@dataclass(frozen=True)
class Item:
    """A gallery image of a list; `rank` counts images that are not ignored, and is 0 for those that are.

    `mark`: "yes" and "no" for true and false matches, "ignored" for junk and images that the rules exclude, "open" if
    the query's identity is unknown.
    """

    index: int
    pid: int
    camid: int
    distance: float
    mark: Mark
    rank: int


@dataclass(frozen=True)
class Asked:
    """A query: index in the target, or -1 for another image, with its feature [D] by row."""

    index: int
    name: str
    features: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Ranked:
    """The first gallery images of a query; `ap` and `first_hit` (0: none) if the query is scored."""

    items: tuple[Item, ...]
    ap: float | None = None
    first_hit: int = 0


def worst(subject: Subject, count: int) -> list[int]:
    """Return the `count` queries with the lowest average precision, or the first ones of a row without."""
    if subject.scored is None:
        return list(range(min(count, len(subject.columns["query_pids"]))))
    valid = np.flatnonzero(subject.scored.valid)
    order: list[int] = valid[np.argsort(subject.scored.ap[valid], kind="stable")][:count].tolist()
    return order


def ranked(subject: Subject, asked: Asked, place: int, top: int) -> Ranked:
    """Return the list of a query up to the `top`-th image that is not ignored; `place` is the row's number.

    Raises Unknown if the stored ranking cannot be reproduced.
    """
    if asked.index < 0:
        features = asked.features[place]
        kept = np.asarray(subject.columns["gallery_pids"] != JUNK)
        order = np.argsort(distances_of(features, subject.columns["gallery_features"], subject.distance), kind="stable")
        return _listed(subject, features, order, kept, None, top)
    if subject.scored is None:
        raise Unknown(subject.unranked)
    if not subject.scored.valid[asked.index]:
        raise Unknown("its evaluator does not score this query: it has no true match, or its camera does not take part")
    with explaining():
        subject.scored.ranked(np.array([asked.index]))
    features, kept = subject.columns["query_features"][asked.index], subject.scored.kept(asked.index)
    order = subject.scored.order_of_all(asked.index)
    found = _listed(subject, features, order, kept, int(subject.columns["query_pids"][asked.index]), top)
    order = order[kept[order]]
    hits = np.flatnonzero(subject.columns["gallery_pids"][order] == subject.columns["query_pids"][asked.index])
    return Ranked(found.items, float(subject.scored.ap[asked.index]), int(hits[0]) + 1)


def _listed(
    subject: Subject, features: np.ndarray, order: np.ndarray, kept: np.ndarray, pid: int | None, top: int
) -> Ranked:
    distances = distances_of(features, subject.columns["gallery_features"], subject.distance)
    shown = distances if subject.distance == "cosine" else np.sqrt(np.maximum(distances, 0))
    items: list[Item] = []
    rank = ignored = 0
    for index in order.tolist():
        own, camid = (int(subject.columns[f"gallery_{name}"][index]) for name in ("pids", "camids"))
        if not kept[index]:
            ignored += 1
            if ignored <= MOST_IGNORED:
                items.append(Item(index, own, camid, float(shown[index]), "ignored", 0))
            continue
        rank += 1
        mark: Mark = "open" if pid is None else "yes" if own == pid else "no"
        items.append(Item(index, own, camid, float(shown[index]), mark, rank))
        if rank == top:
            break
    return Ranked(tuple(items))
