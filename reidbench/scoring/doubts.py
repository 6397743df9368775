"""Warnings about suspicious feature files that can still be scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data.split import DISTRACTOR, JUNK
from reidbench.files.names import shown

from .pids import Ints

_BLOCK_BYTES = 32 << 20
_DEVIATIONS = 2.0  # standard errors by which the mean of true matches must exceed that of others
_ENOUGH = 5  # minimum number of queries to judge by largest values


def label_doubts(query_pids: Ints, train_pids: Ints | None, *, named: bool) -> Iterator[str]:
    """Warn about queries that may be distractors, unless persons are `named` by strings, and trained test persons."""
    zeros = int((query_pids == DISTRACTOR).sum())
    if zeros and not named:
        yield (
            f"{zeros} {'query has' if zeros == 1 else 'queries have'} pid 0, which marks distractors in Market-1501; "
            "here pid 0 counts as one identity. Correct if identities are numbered from 0; otherwise remove these "
            "queries"
        )
    if train_pids is None:
        return
    people = np.setdiff1d(query_pids, [JUNK])
    both = np.intersect1d(people, train_pids)
    if len(both):
        yield (
            f"{len(both)} of the {len(people)} query identities {'has' if len(both) == 1 else 'have'} a pid that is "
            "also a training pid: was the network trained on test identities, or are the parts numbered separately?"
        )


def camera_doubts(camids: Mapping[str, Ints]) -> Iterator[str]:
    """Warn about images of unknown cameras, by key: the camera rule cannot apply to them."""
    unknown = {key: int((values < 0).sum()) for key, values in camids.items()}
    if any(unknown.values()):
        counts = " and ".join(f"{unknown[key]} of {len(values)} {shown(key)}" for key, values in camids.items())
        yield (
            f"{counts} are negative, which means an unknown camera: the camera rule excludes no match of these "
            "images. Correct if the cameras are unknown; to score without the camera rule: --no-camera"
        )


def camera_number_doubts(query_camids: Ints, gallery_camids: Ints) -> Iterator[str]:
    """Warn about cameras that may be numbered from 1, while rules number them from 0."""
    known = np.concatenate([camids[camids >= 0] for camids in (query_camids, gallery_camids)])
    if len(known) and known.min() == 1:
        yield (
            "the rules number cameras from 0, but no image has camera 0; if cameras are numbered from 1, subtract 1 "
            "from every camid"
        )


def query_doubts(query: NDArray[np.generic], query_pids: Ints, marks: list[int] | None = None) -> Iterator[str]:
    """Warn about queries of different persons with identical features, as from a dead network. Skips binary codes."""
    marks = marks or marks_of(query)
    if len(set(marks)) > 1 and _are_codes(query):
        return
    people: dict[int, set[int]] = {}
    for mark, pid in zip(marks, query_pids.tolist(), strict=True):
        people.setdefault(mark, set()).add(pid)
    equal = [row for row, mark in enumerate(marks) if len(people[mark]) > 1]
    if equal:
        yield (
            f"{len(equal)} of {len(query)} queries have the same features as a query of another identity (first: "
            f"query {equal[0]}); check the network or the file"
        )


def repeat_doubts(
    part: str, vectors: NDArray[np.generic], pids: Ints, camids: Ints, marks: list[int] | None = None
) -> Iterator[str]:
    """Warn about rows of one part with the same features, pid and camid, as from a file read twice. Skips codes."""
    rows = list(zip(marks or marks_of(vectors), pids.tolist(), camids.tolist(), strict=True))
    repeated = len(rows) - len(set(rows))
    if not repeated or _are_codes(vectors):
        return
    seen: set[tuple[int, int, int]] = set()
    for first, row in enumerate(rows):  # noqa: B007
        if row in seen:
            break
        seen.add(row)
    yield (
        f"{repeated} of {len(rows)} {part} rows repeat an earlier one with the same features, pid and camid (first: "
        f"{part} row {first}): were images saved twice?"
    )


def marks_of(vectors: NDArray[np.generic]) -> list[int]:
    """Return a hash of each vector. Functions that need hashes accept them as `marks`."""
    return [hash(vector.tobytes()) for vector in vectors]


def _are_codes(vectors: NDArray[Any]) -> bool:
    """Return whether all values are whole numbers; equal codes of several images are normal."""
    return vectors.dtype.kind != "f" or all(bool((vector == np.round(vector)).all()) for vector in vectors)


def copy_doubts(
    query: NDArray[np.generic],
    gallery: NDArray[np.generic],
    pids: tuple[Ints, Ints],
    may_meet: Callable[[int, int], bool],
    asked: int | None = None,
    marks: tuple[list[int], list[int]] | None = None,
) -> Iterator[str]:
    """Warn about queries with the same features as a true match, as from the same image. Skips binary codes.

    `may_meet` returns whether the rules match a query with a gallery row of its pid; `asked` is the number of queries
    used, default all.
    """
    if query.dtype != gallery.dtype or _are_codes(query):
        return
    query_pids, gallery_pids = pids
    query_marks, gallery_marks = marks or (marks_of(query), marks_of(gallery))
    rows: dict[int, list[int]] = {}
    for row, mark in enumerate(gallery_marks):
        rows.setdefault(mark, []).append(row)
    copies = []
    for number, mark in enumerate(query_marks):
        for row in rows.get(mark, ()):
            if query_pids[number] == gallery_pids[row] != JUNK and may_meet(number, row):
                copies.append((number, row))
                break
    if copies:
        number, row = copies[0]
        yield (
            f"{len(copies)} of {asked or len(query)} queries have the same features as a true match (first: query "
            f"{number} and gallery row {row}): is the query's own image in the gallery? It ranks first with any "
            "network"
        )


def distance_doubts(
    distances: NDArray[np.generic],
    key: str,
    labels: tuple[Ints, Ints, Ints, Ints],
    camera: bool,
) -> Iterator[str]:
    """Warn about distances [Q, G] that look like similarities: larger for true matches than for other images."""
    true, other, tops = _Moments(), _Moments(), np.zeros(3, np.int64)
    step = max(1, _BLOCK_BYTES // (8 * max(1, distances.shape[1])))
    for start in range(0, len(distances), step):
        block = np.asarray(distances[start : start + step], np.float64)
        match, kept = _matches(labels, start, start + len(block), camera)
        with np.errstate(all="ignore"):
            true.add(block[match])
            other.add(block[kept & ~match])
        tops += _tops(block, match, kept)
    if not true.count or not other.count:
        return
    asked, largest, smallest = tops.tolist()
    on_top = max(true.highest, other.highest) <= 1 and asked >= _ENOUGH and largest > max(asked / 2, 2 * smallest)
    if true.mean - other.mean > _DEVIATIONS * other.deviation / np.sqrt(true.count):
        what = f"larger for true matches than for others (mean {true.mean:.4g} and {other.mean:.4g})"
    elif on_top:
        what = f"largest at a true match for {largest} of {asked} queries"
    else:
        return
    yield f"{shown(key)}: distances are {what}; these look like similarities: negate them, or use 1 - similarity"


def _matches(
    labels: tuple[Ints, Ints, Ints, Ints], start: int, stop: int, camera: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return [b, G] masks of the true matches of some queries, and of all gallery rows ranked for them."""
    query_pids, query_camids, gallery_pids, gallery_camids = labels
    match = (gallery_pids == query_pids[start:stop, None]) & (gallery_pids != JUNK)
    kept = np.broadcast_to(gallery_pids != JUNK, match.shape)
    if camera:
        camids = query_camids[start:stop, None]
        removed = match & (gallery_camids == camids) & (camids >= 0)
        match, kept = match & ~removed, kept & ~removed
    return match, kept


def _tops(block: NDArray[np.float64], match: NDArray[np.bool_], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the numbers of queries with a true match, with one at their largest value, and at their smallest."""
    rows = np.arange(len(block))
    largest = match[rows, np.where(kept, block, -np.inf).argmax(1)]
    smallest = match[rows, np.where(kept, block, np.inf).argmin(1)]
    return np.array([match.any(1).sum(), largest.sum(), smallest.sum()], np.int64)


class _Moments:
    """Running count, mean, standard deviation and maximum."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares, self.highest = 0, 0.0, 0.0, -np.inf

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values."""
        if not values.size:
            return
        mean = float(values.mean())
        total = self.count + values.size
        shift = mean - self.mean
        self.squares += float(((values - mean) ** 2).sum()) + shift**2 * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total
        self.highest = max(self.highest, float(values.max()))

    @property
    def deviation(self) -> float:
        """Standard deviation."""
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0
