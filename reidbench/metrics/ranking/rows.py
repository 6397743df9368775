"""Queries and gallery as comparable rows: one per image, or one per tracklet or multi-image query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import features, norms, refuse_zero

from .matches import JUNK, Ints, Lookup, integers
from .rules import Rules

Side = Literal["query", "gallery"]
Indices = NDArray[np.intp]
VERBS = {"clothes": "are", "modality": "is"}


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with their features [N, D], integers `pids` and `camids` [N], and further labels or None.

    images: image numbers, equal in query and gallery for the same image. clothes: numbers within a pid, -1 unknown.
    modality: words, "" unknown. tracklets: numbers, -1 for images without one; a query and a gallery tracklet of one
    number are two.
    """

    features: NDArray[Any]
    pids: NDArray[Any]
    camids: NDArray[Any]
    images: NDArray[Any] | None = None
    clothes: NDArray[Any] | None = None
    modality: NDArray[Any] | Sequence[str] | None = None
    tracklets: NDArray[Any] | None = None

    def take(self, rows: NDArray[Any]) -> Labelled:
        """Select images, by number or by mask."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: np.asarray(v)[rows] for name, v in given.items() if v is not None})

    def checked(self, side: Side, rules: Rules) -> Labelled:
        """Convert to arrays of equal length with all labels that the rules require. Raises MetricError."""
        found: dict[str, Any] = {"features": features(f"{side}_features", self.features)}
        for name in ("pids", "camids", "images", "clothes", "tracklets"):
            if (given := getattr(self, name)) is not None:
                found[name] = integers(f"{side}_{name}", given)
        if self.modality is not None:
            found["modality"] = np.asarray(self.modality)
            if found["modality"].dtype.kind != "U":
                raise MetricError(f"{side}_modality must be words, such as visible, not {found['modality'].dtype}")
        count = len(found["pids"])
        for name, values in found.items():
            if len(values) != count:
                unit = "rows" if name == "features" else "entries"
                raise MetricError(f"{side}_{name} has {len(values)} {unit} but {side}_pids has {count} entries")
        if not count:
            raise MetricError("there are no queries" if side == "query" else "the gallery is empty")
        for rule, column in (("exclude", "clothes"), ("cross", "modality"), ("pool", "tracklets")):
            if rule in rules.labelled and column not in found:
                raise MetricError(f"rule {rule}={getattr(rules, rule)} requires {side}_{column}, which are missing")
        return replace(self, **found)


def refuse_idle(query: Labelled, gallery: Labelled, rules: Rules) -> None:
    """Raise MetricError for a rule without effect, if no image of a side has the label it depends on.

    Considers only images that take part: those of the rules' cameras, without junk.
    """
    sides: dict[Side, Labelled] = {"query": _in_use(query, rules.query_cameras)}
    sides["gallery"] = _in_use(gallery, rules.gallery_cameras)
    for side, images in sides.items():
        for rule, column, unknown in (("exclude", "clothes", -1), ("cross", "modality", "")):
            values = getattr(images, column)
            if rule in rules.labelled and values is not None and bool((np.asarray(values) == unknown).all()):
                value = ",".join(rules.exclude) if rule == "exclude" else rules.cross
                _refuse(f"{rule}={value}", f"the {column} of every {side} image {VERBS[column]} unknown")
    cameras = {side: bool((np.asarray(images.camids) >= 0).any()) for side, images in sides.items()}
    if rules.multi_query and not cameras["query"]:
        _refuse("multi_query", "the camera of every query image is unknown")
    if rules.shots_per == "identity-and-camera" and not cameras["gallery"]:
        _refuse(f"shots_per={rules.shots_per}", "the camera of every gallery image is unknown")
    tracklets = [images.tracklets for images in sides.values() if images.tracklets is not None]
    if rules.pool and len(tracklets) == len(sides) and not any((np.asarray(part) >= 0).any() for part in tracklets):
        _refuse(f"pool={rules.pool}", "no query or gallery image belongs to a tracklet")


def _in_use(images: Labelled, cameras: tuple[int, ...]) -> Labelled:
    used = np.asarray(images.pids) != JUNK
    return _without_features(images).take(used & np.isin(images.camids, cameras) if cameras else used)


def _refuse(rule: str, why: str) -> NoReturn:
    raise MetricError(f"rule {rule} would have no effect: {why}; add the labels, or remove the rule")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to compare: `given` has the features and labels of each row, `lead` [n] the number of its first image.

    `numbers` are the image numbers of all its images, if known, and `owners` the row of each of these. `pooled`:
    whether rows may combine several images.
    """

    given: Labelled
    lead: Indices
    numbers: Ints | None
    owners: Indices
    pooled: bool = False

    def __len__(self) -> int:
        return len(self.lead)

    def take(self, rows: Indices) -> Rows:
        """Select rows, ascending; selecting all does not copy."""
        if len(rows) == len(self):
            return self
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))
        owners = place[self.owners]
        numbers = None if self.numbers is None else self.numbers[owners >= 0]
        return Rows(self.given.take(rows), self.lead[rows], numbers, owners[owners >= 0], self.pooled)


def own_pairs(query: Rows, gallery: Rows) -> Ints | None:
    """Keys q * G + g of rows with an image in common, without junk; None if images are not numbered."""
    if query.numbers is None or gallery.numbers is None:
        return None
    kept = np.flatnonzero(gallery.given.pids[gallery.owners] != JUNK)
    pairs = Lookup(query.numbers, gallery.numbers, kept).pairs(0, len(query.numbers))
    return np.unique(query.owners[pairs.rows] * len(gallery) + gallery.owners[pairs.cols])


def rows_of(images: Labelled, side: Side, rules: Rules, note: Callable[[str], None]) -> Rows:
    """Rows of validated images: those of the cameras that take part, pooled by the rules.

    `note` receives a sentence on what was left out or pooled. Raises MetricError with the number of the image.
    """
    used = _of_cameras(images.camids, side, rules, note)
    if rules.labelled:  # afterwards rows have other numbers
        zero = norms(f"{side}_features", images.features) == 0
    pooled = rules.pool is not None or (side == "query" and rules.multi_query)
    if pooled:
        return _pooled(images, used, side, rules, note)
    if rules.labelled and rules.distance == "cosine":
        refuse_zero(f"{side}_features", zero & np.isin(np.arange(len(zero)), used) & (images.pids != JUNK))
    given = images if len(used) == len(images.pids) else images.take(used)
    return Rows(given, used, given.images, np.arange(len(used)))


def cameras_there(camids: Ints, wanted: Sequence[int], rule: str, side: Side) -> None:
    """Raise MetricError if a rule names a camera without images."""
    there = np.unique(camids[camids >= 0]).tolist()
    for camera in wanted:
        if camera not in there:
            known = ", ".join(map(str, there)) or "none"
            raise MetricError(f"rule {rule}: no {side} image is from camera {camera}; cameras with images: {known}")


def _of_cameras(camids: Ints, side: Side, rules: Rules, note: Callable[[str], None]) -> Indices:
    wanted = rules.query_cameras if side == "query" else rules.gallery_cameras
    if not wanted:
        return np.arange(len(camids))
    cameras_there(camids, wanted, f"{side}_cameras", side)
    used = np.flatnonzero(np.isin(camids, wanted))
    if left_out := len(camids) - len(used):
        note(f"left out by camera: {left_out} of {len(camids)} {side} images")
    return used


def _pooled(images: Labelled, used: Indices, side: Side, rules: Rules, note: Callable[[str], None]) -> Rows:
    part = _without_features(images).take(used)
    groups = np.arange(len(used))
    if rules.pool:
        assert part.tracklets is not None  # checked by `checked`
        groups = _numbered(np.where(part.tracklets >= 0, part.tracklets + len(used), groups))
        _refuse_mixed(part, groups, used, side, ("pids", "camids", *_needed(rules)))
    multi = side == "query" and rules.multi_query
    if multi:
        groups = _by_person_and_camera(part, groups)
        _refuse_mixed(part, groups, used, side, _needed(rules))
    first = np.unique(groups, return_index=True)[1]
    how = rules.pool or "mean"
    vectors = _joined(images.features, used, groups, how)
    given = replace(part.take(first), features=vectors)
    if rules.distance == "cosine":
        _refuse_zero_pools(vectors, given.pids, used[first], side, how)
    note(_pooling(part, groups, side, multi))
    return Rows(given, used[first], part.images, groups, True)


def _without_features(images: Labelled) -> Labelled:
    return replace(images, features=np.empty((len(images.pids), 0)))


def _needed(rules: Rules) -> tuple[str, ...]:
    return (*(["clothes"] if rules.exclude else []), *(["modality"] if rules.cross else []))


def _numbered(codes: Ints) -> Indices:
    """Groups numbered 0, 1, ... in order of their first image, from any code of each image."""
    first, inverse = np.unique(codes, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.ravel()]


def _by_person_and_camera(part: Labelled, groups: Indices) -> Indices:
    """Group by pid and camera; junk and images of unknown cameras keep their groups."""
    known = (part.pids != JUNK) & (part.camids >= 0)
    pairs = np.stack([part.pids, part.camids], axis=1)
    persons = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
    return _numbered(np.where(known, persons + len(groups), groups))


def _refuse_mixed(part: Labelled, groups: Indices, used: Indices, side: Side, columns: Sequence[str]) -> None:
    first = np.unique(groups, return_index=True)[1]
    for name in columns:
        values = getattr(part, name)
        other = np.flatnonzero(values != values[first[groups]])
        if not len(other):
            continue
        row = int(other[0])
        mate = int(first[groups[row]])
        which = _group_name(part, row, mate, side)
        raise MetricError(
            f"{which} has images of several {name}: {values[mate]} in row {used[mate]}, and {values[row]} in row "
            f"{used[row]} of {side}_{name}; images can be pooled only if they have one pid, one camera and, if a rule "
            "depends on them, one outfit and one modality"
        )


def _group_name(part: Labelled, row: int, mate: int, side: Side) -> str:
    if part.tracklets is not None and part.tracklets[row] >= 0 and part.tracklets[row] == part.tracklets[mate]:
        return f"{side} tracklet {part.tracklets[row]}"
    return f"the query of pid {part.pids[row]} and camera {part.camids[row]}"


def _joined(vectors: NDArray[Any], used: Indices, groups: Indices, how: str) -> NDArray[Any]:
    """Maximum of each group's features [groups, D], or their mean in float64, so that equal features stay equal."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(groups.max() + 1))
    found = np.empty((len(starts), vectors.shape[1]), vectors.dtype if how == "max" else np.float64)
    for group, members in enumerate(np.split(used[order], starts[1:])):
        rows = vectors[members]
        found[group] = rows.max(axis=0) if how == "max" else rows.mean(axis=0, dtype=np.float64)
    return found


def _refuse_zero_pools(vectors: NDArray[Any], pids: Ints, lead: Indices, side: Side, how: str) -> None:
    zero = np.flatnonzero(~vectors.any(axis=1) & (pids != JUNK))
    if len(zero):
        raise MetricError(
            f"the {how} of the {side}_features pooled with row {lead[zero[0]]} is a zero vector, which has no "
            f"cosine distance (zero vectors: {len(zero)} of {len(lead)}); use distance=euclidean, or check the features"
        )


def _pooling(part: Labelled, groups: Indices, side: Side, multi: bool) -> str:
    """Describe the pooling, as in "queries: 40 tracklets of 320 images"."""
    what = "queries" if side == "query" else "gallery"
    count, images = int(groups.max()) + 1, len(groups)
    if multi:
        return f"{what}: {count} of one pid and camera each, from {images} images"
    assert part.tracklets is not None
    alone = int(np.count_nonzero(part.tracklets < 0))
    more = f" and {alone} images of no tracklet" if alone else ""
    return f"{what}: {count - alone} tracklets of {images - alone} images{more}"
