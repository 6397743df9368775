"""Nearest gallery images of each query, by cosine distance or re-ranked."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidbench.errors import DataError
from reidbench.export.features import Named
from reidbench.metrics import MetricError, Reranking, rerank_blocks, search
from reidbench.metrics.reranking import Variant


@dataclass(frozen=True)
class Match:
    """A gallery image and its distance to the query. `same`: its bytes are identical to the query's."""

    name: str
    distance: float
    same: bool


@dataclass(frozen=True)
class Found:
    """A query and its nearest gallery images, nearest first."""

    query: str
    matches: tuple[Match, ...]


def find(queries: Named, gallery: Named, top: int, rerank: Variant | None = None) -> list[Found]:
    """Return the `top` nearest gallery images of each query, by cosine distance (1 - cosine, from 0 to 2).

    Ties keep the order of the gallery. With `rerank`, distances are those of k-reciprocal re-ranking among queries and
    gallery. Raises DataError for zero vectors and for features of different dimensions.
    """
    try:
        order, distances = _reranked(queries, gallery, top, rerank) if rerank else _nearest(queries, gallery, top)
    except MetricError as error:
        raise DataError(str(error).replace(", or use distance=euclidean", "")) from None
    return [
        Found(query, tuple(_match(query, gallery.names[row], value) for row, value in zip(rows, values, strict=True)))
        for query, rows, values in zip(queries.names, order.tolist(), distances.tolist(), strict=True)
    ]


def _nearest(queries: Named, gallery: Named, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return gallery indices [Q, top] and their distances."""
    found = search(queries.features, gallery.features, top)
    return found.indices, found.squared / 2


def _reranked(queries: Named, gallery: Named, top: int, rerank: Variant) -> tuple[np.ndarray, np.ndarray]:
    distances = np.concatenate(list(rerank_blocks(queries.features, gallery.features, Reranking(rerank))))
    order = np.argsort(distances, axis=1, kind="stable")[:, :top]
    return order, np.take_along_axis(distances, order, 1)


def _match(query: str, name: str, distance: float) -> Match:
    return Match(name, distance, _same(Path(query), Path(name)))


def _same(one: Path, other: Path) -> bool:
    """Return whether two files have the same bytes; False if one cannot be read."""
    try:
        return filecmp.cmp(one, other, shallow=False)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return False


def lines(found: Sequence[Found]) -> list[str]:
    """Return the ranked lists as lines of rank, distance and path."""
    text = []
    for one in found:
        text.append(f"query {one.query}")
        for rank, match in enumerate(one.matches, 1):
            text.append(f"{rank:>5}  {match.distance:.4f}  {match.name}{'  (the same file)' * match.same}")
    return text
