"""Rankings under rules on clothes, modality, tracklets and cameras, or on drawn galleries."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import Products, refuse_zero

from .identities import note_on_distractors
from .matches import JUNK, Labels, Matches
from .ranking import finite
from .result import Asked, Ranking, conclude
from .rows import Indices, Labelled, Rows, cameras_there, own_pairs, rows_of
from .rules import Rules
from .tally import Results, Tally

Compare = Callable[[Labelled, Labelled], Products | Iterable[NDArray[Any]]]


def rank_labelled(
    query: Labelled,
    gallery: Labelled,
    rules: Rules | None = None,
    compare: Compare | None = None,
    max_rank: int = 50,
    *,
    junk: bool = True,
) -> Ranking:
    """Rank a gallery for queries under any rules: those of `rank`, and the labelled ones of `Rules`.

    The steps are: leave out query and gallery images of other cameras (`query_cameras`, `gallery_cameras`); turn images
    into rows (`pool`, `multi_query`); draw galleries (`shots`); compare each query with the rows that `cross` and
    `skip_cameras` allow, without its own images, its own pid under its own camera (`camera`) and in the clothes that
    `exclude` names; average over queries, then over draws.

    The arrays of the result have one entry per query image; the result of a query is at its first image, see
    `Ranking.asked`. `Ranking.notes` are sentences on what was left out, pooled, drawn or unknown; show them.

    compare: computes distances of query rows [q, D] to the gallery rows [g, D] that they may be compared with (`images`
    are given if each row is one image): `Products`, or blocks of distances [b, g] of consecutive queries, such as
    `rerank_blocks`. It is called once per part of the queries and drawn gallery. The default is products under
    `rules.distance`.

    junk: whether `compare` receives junk gallery rows. Without them, junk is not a neighbour of any row when features
    are compared with those of others. Junk never counts in a ranking, and is never drawn.

    Raises MetricError for missing labels that a rule requires, missing cameras, tracklets of several pids or cameras,
    features that cannot be compared, or if no query has a true match.
    """
    rules = rules or Rules()
    if compare is None and rules.distance == "given":
        raise MetricError("rule distance=given requires distances: pass `compare`, or use cosine or euclidean")
    query, gallery = query.checked("query", rules), gallery.checked("gallery", rules)
    if (query.images is None) != (gallery.images is None):
        missing = "query_images" if query.images is None else "gallery_images"
        raise MetricError(f"{missing} is missing: pass image numbers for both queries and gallery, or for neither")
    for camera, skipped in rules.skip_cameras:
        cameras_there(query.camids, [camera], "skip_cameras", "query")
        cameras_there(gallery.camids, skipped, "skip_cameras", "gallery")
    notes: list[str] = []
    sides = rows_of(query, "query", rules, notes.append), rows_of(gallery, "gallery", rules, notes.append)
    kept = sides[1].given.pids != JUNK
    ranked = sides[1] if junk else sides[1].take(np.flatnonzero(kept))
    run = _Run(sides[0], ranked, rules, compare or _products(rules))
    draws = [run.results(drawn) for drawn in _draws(ranked, len(gallery.pids), rules, notes)]
    for results in draws:
        results.filtered["junk"] = int(np.count_nonzero(~kept))
    if rules.shots is not None:
        found = np.stack([results.scores[rules.ties].first_hit > 0 for results in draws]).any(0)
        draws[0].reasons |= run.reasons(np.flatnonzero(~found))
    notes += note_on_distractors(ranked.given.pids, rules.cmc)
    notes += _unknown(sides, rules, draws)
    rules = rules if run.exact else dataclasses.replace(rules, distance="given")
    return conclude(draws, Asked(query.pids, query.camids, sides[0].lead), rules, max_rank, notes=notes)


def _products(rules: Rules) -> Compare:
    def compare(query: Labelled, gallery: Labelled) -> Products:
        products = Products(query.features, gallery.features, rules.distance)
        if products.cosine:
            refuse_zero("query_features", products.query_norms == 0)
            refuse_zero("gallery_features", (products.gallery_norms == 0) & (gallery.pids != JUNK))
        return products

    return compare


class _Run:
    """Ranks all queries, part by part."""

    def __init__(self, query: Rows, gallery: Rows, rules: Rules, compare: Compare) -> None:
        self.query, self.gallery, self.rules, self.compare = query, gallery, rules, compare
        self.exact = True  # distances are products

    def results(self, drawn: Indices) -> Results:
        """Results for one gallery."""
        gallery = self.gallery.take(drawn)
        found = Results(len(self.query), self.rules)
        for mine, theirs in _parts(self.query, gallery, self.rules, found.filtered):
            found.put(mine, self._part(self.query.take(mine), gallery.take(theirs)))
        return found

    def reasons(self, queries: Indices) -> dict[int, str]:
        """Reasons (rules or draws) why queries have no true match in any drawn gallery, by image number."""
        asked = self.query.take(queries)
        found: dict[int, str] = {}
        for mine, theirs in _parts(asked, self.gallery, self.rules, Counter()):
            query, gallery = asked.take(mine), self.gallery.take(theirs)
            matches = Matches(_labels(query, gallery), self.rules.camera, self.rules.exclude, self._partial(gallery))
            found |= {int(number): matches.reason(place) for place, number in enumerate(query.lead)}
        return found

    def _partial(self, gallery: Rows) -> bool:
        return len(gallery) < len(self.gallery) or bool(self.rules.gallery_cameras)

    def _part(self, query: Rows, gallery: Rows) -> Results:
        """Results of queries that are all compared with this gallery."""
        labels, partial = _labels(query, gallery), self._partial(gallery)
        if not len(gallery):
            return Tally(labels, self.rules, numbers=query.lead, part=True).count([np.empty((len(query), 0))])
        sides = [
            dataclasses.replace(rows.given, images=None) if rows.pooled else rows.given for rows in (query, gallery)
        ]
        distances = self.compare(*sides)
        self.exact = isinstance(distances, Products)
        if isinstance(distances, Products):
            return Tally(labels, self.rules, distances, None, query.lead, partial).count(distances.blocks())
        return Tally(labels, self.rules, None, None, query.lead, partial).count(finite(distances))


def _labels(query: Rows, gallery: Rows) -> Labels:
    return Labels(
        query.given.pids,
        query.given.camids,
        gallery.given.pids,
        gallery.given.camids,
        own_pairs(query, gallery),
        query.given.clothes,
        gallery.given.clothes,
    )


def _draws(gallery: Rows, images: int, rules: Rules, notes: list[str]) -> Iterator[Indices]:
    """Gallery rows of each draw. A row's chance depends on its first image, not on which cameras take part."""
    if rules.shots is None:
        yield np.arange(len(gallery))
        return
    rows = np.flatnonzero(gallery.given.pids != JUNK)
    pids, camids = gallery.given.pids[rows], gallery.given.camids[rows]
    pairs = np.stack([pids, camids if rules.shots_per == "identity-and-camera" else np.zeros_like(camids)], axis=1)
    kinds, groups, sizes = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    groups = groups.ravel()
    first = np.cumsum(sizes) - sizes
    notes += _drawing(rules, kinds, sizes, gallery.pooled)
    for draw in range(rules.repeats):
        chance = np.random.Generator(np.random.PCG64([rules.seed, draw])).random(images)[gallery.lead[rows]]
        order = np.lexsort((chance, groups))
        place = np.arange(len(rows)) - np.repeat(first, sizes)
        yield np.sort(rows[order[place < rules.shots]])


def _drawing(rules: Rules, kinds: NDArray[Any], sizes: NDArray[Any], pooled: bool) -> list[str]:
    assert rules.shots is not None
    per = "identities" if rules.shots_per == "identity" else "pairs of an identity and a camera"
    unit = "rows (tracklets and single images)" if pooled else "images"
    few = int(np.count_nonzero(sizes < rules.shots))
    more = f"; {few} of these have fewer and give all" if few else ""
    notes = [f"gallery drawn {rules.repeats} times: {rules.shots} of the {unit} of each of {len(kinds)} {per}{more}"]
    if (kinds[:, 0] == 0).any():
        notes.append("gallery pid 0, which marks distractors in some data sets, is drawn from as one identity")
    return notes


def _parts(query: Rows, gallery: Rows, rules: Rules, filtered: Counter[str]) -> Iterator[tuple[Indices, Indices]]:
    """Queries with the gallery rows they may be compared with; `filtered` counts the excluded pairs."""
    if not rules.cross and not rules.skip_cameras:
        yield np.arange(len(query)), np.arange(len(gallery))
        return
    skips, kept = dict(rules.skip_cameras), gallery.given.pids != JUNK
    filtered.update({"same_modality": 0} if rules.cross else {})
    filtered.update({"skipped_camera": 0} if skips else {})
    words = np.asarray(query.given.modality) if rules.cross else np.full(len(query), "")
    cameras = np.where(np.isin(query.given.camids, list(skips)), query.given.camids, -1)
    for word in np.unique(words).tolist():
        same = (gallery.given.modality == word) if word else np.zeros(len(gallery), bool)
        for camera in np.unique(cameras[words == word]).tolist():
            mine = np.flatnonzero((words == word) & (cameras == camera))
            skipped = np.isin(gallery.given.camids, skips.get(camera, ())) & ~same
            if rules.cross:
                filtered["same_modality"] += len(mine) * int((same & kept).sum())
            if skips:
                filtered["skipped_camera"] += len(mine) * int((skipped & kept).sum())
            yield mine, np.flatnonzero(~same & ~skipped)


def _unknown(sides: tuple[Rows, Rows], rules: Rules, draws: list[Results]) -> list[str]:
    """Notes on labels that the rules needed and that are unknown."""
    notes = []
    if pairs := sum(results.unknown for results in draws):
        notes.append(
            f"kept, for the clothes of one of them are unknown: {pairs} pairs of a query and a gallery row of its pid"
        )
    if rules.cross:
        counts = [int(np.count_nonzero(np.asarray(rows.given.modality) == "")) for rows in sides]
        if any(counts):
            notes.append(f"modality unknown, so kept with all: {counts[0]} queries, {counts[1]} gallery rows")
    return notes
