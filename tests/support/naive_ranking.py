"""All rules of a ranking in the obvious slow way: one query at a time, a sorted list, and no shortcut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reidbench.metrics import Labelled, Rules

RANKS = (1, 5, 10, 20)


@dataclass
class Row:
    """A row to compare: the numbers of its images, and its labels."""

    images: list[int]
    feature: np.ndarray
    pid: int
    camid: int
    clothes: int
    modality: str
    pictures: set[int]


def rows_of(side: Labelled, cameras: Iterable[int], groups: list[Any], how: str) -> list[Row]:
    """Rows by group, in order of their first image."""
    wanted = list(cameras)
    members: dict[Any, list[int]] = {}
    for image, group in enumerate(groups):
        if not wanted or int(side.camids[image]) in wanted:
            members.setdefault(group, []).append(image)
    return [row_of(side, images, how) for images in members.values()]


def mixed(side: Labelled, rows: list[Row], rules: Rules) -> bool:
    """Whether pooled images differ in a label that a rule depends on."""
    looked_at: list[Any] = [
        values for rule, values in ((rules.exclude, side.clothes), (rules.cross, side.modality)) if rule
    ]
    return any(len({str(values[image]) for image in row.images}) > 1 for values in looked_at for row in rows)


def row_of(side: Labelled, images: list[int], how: str) -> Row:
    vectors = np.array([side.features[image] for image in images], dtype=float)
    feature = vectors.max(axis=0) if how == "max" else vectors.sum(axis=0) / len(images)
    first = images[0]
    return Row(
        images,
        feature,
        int(side.pids[first]),
        int(side.camids[first]),
        -1 if side.clothes is None else int(side.clothes[first]),
        "" if side.modality is None else str(side.modality[first]),
        set() if side.images is None else {int(side.images[image]) for image in images},
    )


def groups_of(side: Labelled, rules: Rules, query: bool) -> list[Any]:
    """A name of each image's row."""
    names: list[Any] = []
    for image in range(len(side.pids)):
        name: Any = ("image", image)
        if rules.pool and side.tracklets is not None and side.tracklets[image] >= 0:
            name = ("tracklet", int(side.tracklets[image]))
        if query and rules.multi_query and side.pids[image] != -1 and side.camids[image] >= 0:
            name = ("query", int(side.pids[image]), int(side.camids[image]))
        names.append(name)
    return names


def drawn(gallery: list[Row], images: int, rules: Rules, draw: int) -> list[Row]:
    """The gallery of one draw: of each group the rows whose images have the smallest random numbers."""
    if rules.shots is None:
        return gallery
    chance = np.random.Generator(np.random.PCG64([rules.seed, draw])).random(images)
    kinds: dict[Any, list[Row]] = {}
    for row in gallery:
        if row.pid != -1:
            kind = (row.pid, row.camid) if rules.shots_per == "identity-and-camera" else row.pid
            kinds.setdefault(kind, []).append(row)
    chosen = [
        row for rows in kinds.values() for row in sorted(rows, key=lambda row: chance[row.images[0]])[: rules.shots]
    ]
    return [row for row in gallery if any(row is one for one in chosen)]


def meets(query: Row, other: Row, rules: Rules) -> bool:
    """Whether the gallery row is in the list of this query."""
    if other.pid == -1 or query.pictures & other.pictures:
        return False
    if rules.cross and query.modality and query.modality == other.modality:
        return False
    if other.camid in dict(rules.skip_cameras).get(query.camid, ()):
        return False
    if other.pid != query.pid:
        return True
    if rules.camera == "market1501" and query.camid >= 0 and query.camid == other.camid:
        return False
    if query.clothes < 0 or other.clothes < 0:
        return True
    if "same-clothes" in rules.exclude and query.clothes == other.clothes:
        return False
    return not ("different-clothes" in rules.exclude and query.clothes != other.clothes)


def distance(query: Row, other: Row, rules: Rules) -> float:
    if rules.distance == "euclidean":
        return float(((query.feature - other.feature) ** 2).sum())
    return -float(query.feature @ other.feature / np.linalg.norm(query.feature) / np.linalg.norm(other.feature))


def one_query(query: Row, gallery: list[Row], rules: Rules) -> dict[str, float] | None:
    """Results of one query; None without a true match. Distances are rounded, so that equal ones are equal."""
    kept = [row for row in gallery if meets(query, row, rules)]
    match = [query.pid != -1 and row.pid == query.pid for row in kept]
    if not any(match):
        return None
    order = {"stable": lambda i: i, "best": lambda i: (not match[i], i), "worst": lambda i: (match[i], i)}[rules.ties]
    ranked = sorted(range(len(kept)), key=lambda i: (round(distance(query, kept[i], rules), 9), order(i)))
    flags = [match[i] for i in ranked]
    places = [place for place, flag in enumerate(flags, 1) if flag]
    precisions = []
    for number, place in enumerate(places, 1):
        step, before = number / place, 1.0 if place == 1 else (number - 1) / (place - 1)
        precisions.append(step if rules.ap == "step" else (step + before) / 2)
    counted = places[0]
    if rules.cmc == "identities":
        counted = list(dict.fromkeys(kept[i].pid for i in ranked)).index(query.pid) + 1
    found = {"mAP": sum(precisions) / len(precisions), "mINP": len(places) / places[-1]}
    return found | {f"cmc{k}": float(counted <= k) for k in RANKS}


@dataclass
class Naive:
    """`metrics`, and `per_query` by query image: a list of results per draw, None without a match."""

    metrics: dict[str, float]
    per_query: dict[int, list[dict[str, float] | None]]


def naive_ranking(query: Labelled, gallery: Labelled, rules: Rules) -> Naive | str:
    """The results, or a part of the error message."""
    how = rules.pool or "mean"
    queries = rows_of(query, rules.query_cameras, groups_of(query, rules, True), how)
    rows = rows_of(gallery, rules.gallery_cameras, groups_of(gallery, rules, False), how)
    if mixed(query, queries, rules) or mixed(gallery, rows, rules):
        return "has images of several"
    per_query: dict[int, list[dict[str, float] | None]] = {row.images[0]: [] for row in queries}
    means = []
    for draw in range(1 if rules.shots is None else rules.repeats):
        shown = drawn(rows, len(gallery.pids), rules, draw)
        results = [one_query(row, shown, rules) for row in queries]
        for row, result in zip(queries, results, strict=True):
            per_query[row.images[0]].append(result)
        valid = [result for result in results if result is not None]
        counted = len(results) if rules.invalid == "zero" else len(valid)
        if counted:
            names = ("mAP", "mINP", *(f"cmc{k}" for k in RANKS))
            means.append({name: sum(result[name] for result in valid) / counted for name in names})
    if not any(result for results in per_query.values() for result in results):
        return "no query has a true match"
    return Naive({name: sum(mean[name] for mean in means) / len(means) for name in means[0]}, per_query)
