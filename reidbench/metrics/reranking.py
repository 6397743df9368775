"""k-reciprocal re-ranking (Zhong et al., CVPR 2017) in blocks: memory grows with N * k, not with N^2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError
from .neighbours.minima import Minima
from .neighbours.neighbours import nearest_of
from .neighbours.reciprocal import expanded_sets, normalised, query_expanded, squared_on
from .neighbours.vectors import Vectors
from .products import Floats, refuse_zero

Variant = Literal["zhong", "torchreid", "fastreid"]

BLOCK_ROWS = 256
KEPT_BYTES = 256 << 20  # Market-1501's similarities take 204 MiB, and a fifth of the time to recompute


@dataclass(frozen=True)
class Reranking:
    """Variant and parameters of re-ranking; the common implementations differ by up to two points of rank 1.

    zhong: the authors' MATLAB code. Lists of k1 + 1, half lists of round((k1 + 1) / 2); weights exp(-d) and mixing term
    with d = squared distance / row maximum. Features are always normalised to length 1.
    torchreid: as zhong with d = fourth power of the distance / row maximum, and half lists of around(k1 / 2) + 1 with
    numpy's rounding (equal unless k1 % 4 == 3). Also SpCL, MMT, Person_reID_baseline_pytorch.
    fastreid: lists of k1; weights softmax(-squared distance); mixing term the plain cosine distance, or the squared
    distance under euclidean. Also OpenUnReID.
    lambda_: share of the original distance in the final one.
    """

    variant: Variant = "zhong"
    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            choices = ", ".join(get_args(Variant))
            raise MetricError(f"re-ranking {self.variant!r} is unknown; choose one of {choices}")
        if self.k1 < 1 or self.k2 < 1:
            raise MetricError(f"re-ranking requires k1 >= 1 and k2 >= 1, not k1={self.k1} and k2={self.k2}")
        if not 0 <= self.lambda_ <= 1:
            raise MetricError(f"re-ranking requires lambda between 0 and 1, not {self.lambda_}")

    def as_dict(self) -> dict[str, str | int | float]:
        """JSON values by name."""
        return {"variant": self.variant, "k1": self.k1, "k2": self.k2, "lambda": self.lambda_}

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.as_dict().items())

    @property
    def listed(self) -> int:
        """Length of the neighbour lists."""
        return self.k1 if self.variant == "fastreid" else self.k1 + 1

    @property
    def half(self) -> int:
        """Length of the half lists."""
        return (self.k1 + 2) // 2 if self.variant == "zhong" else round(self.k1 / 2) + 1


def rerank_blocks(
    query_features: NDArray[Any],
    gallery_features: NDArray[Any],
    how: Reranking | None = None,
    distance: str = "cosine",
) -> Iterator[Floats]:
    """Yield final distances [b, G] of consecutive queries, for `rank_blocks`; each block is a new array.

    Queries [Q, D] and gallery [G, D] are ranked together, regardless of labels. Raises MetricError for features that
    are not finite or have different dimensions, and for zero vectors under cosine.
    """
    how = how or Reranking()
    if how.variant == "zhong":
        distance = "cosine"
    vectors = Vectors({"query_features": query_features, "gallery_features": gallery_features}, distance)
    queries = len(query_features)
    if vectors.cosine:
        zero = np.logical_not(vectors.values.any(axis=1))
        refuse_zero("query_features", zero[:queries], how.variant != "zhong")
        refuse_zero("gallery_features", zero[queries:], how.variant != "zhong")
    similarities = QueryRows(vectors, queries)
    weights, largest = _weights(vectors, how, similarities)
    for start, sums in Minima(weights[:queries], weights[queries:]).blocks(BLOCK_ROWS):
        rows = slice(start, start + sums.shape[0])
        final = vectors.squared(similarities.rows(rows))
        if largest is not None:
            _normalise(final, largest[rows], how)
        elif vectors.cosine:
            final *= np.float32(0.5)  # 1 - cos
        yield _mix(final, sums, how.lambda_)


def rerank(
    query_features: NDArray[Any],
    gallery_features: NDArray[Any],
    how: Reranking | None = None,
    distance: str = "cosine",
) -> Floats:
    """Final distances of `rerank_blocks` as one matrix [Q, G] float32."""
    final = np.empty((len(query_features), len(gallery_features)), np.float32)
    start = 0
    for block in rerank_blocks(query_features, gallery_features, how, distance):
        final[start : start + len(block)] = block
        start += len(block)
    return final


class QueryRows:
    """Similarities of the first vectors (queries) to the rest: cached from the search if they fit, or recomputed."""

    def __init__(self, vectors: Vectors, queries: int) -> None:
        self.vectors, self.queries = vectors, queries
        shape = queries, len(vectors) - queries
        self.kept = np.empty(shape if 4 * shape[0] * shape[1] <= KEPT_BYTES else (0, 0), np.float32)
        self.missing = shape[0] * shape[1]

    def visit(self, rows: slice, cols: slice, block: Floats) -> None:
        """Cache the rows in a block on or above the diagonal."""
        stop, start = min(rows.stop, self.queries), max(cols.start, self.queries)
        if len(self.kept) and stop > rows.start and cols.stop > start:
            part = block[: stop - rows.start, start - cols.start :]
            self.kept[rows.start : stop, start - self.queries : cols.stop - self.queries] = part
            self.missing -= part.size

    def rows(self, rows: slice) -> Floats:
        """Similarities [b, G] of some queries."""
        if self.missing:
            return self.vectors.block(rows, slice(self.queries, len(self.vectors)))
        return self.kept[rows]


def _weights(vectors: Vectors, how: Reranking, similarities: QueryRows) -> tuple[Any, Floats | None]:
    """(V [N, N] CSR, row maxima of the squared distances if the variant divides by them)."""
    divides = how.variant != "fastreid"
    near = nearest_of(vectors, max(how.listed, how.k2), farthest=divides, visit=similarities.visit)
    sets = expanded_sets(near.indices, how.listed, how.half)
    distances = squared_on(sets, vectors, near)
    largest = near.farthest
    if largest is not None:
        _normalise(distances, np.repeat(largest, np.diff(sets.indptr)), how)
    return query_expanded(normalised(sets, -distances), near.indices, how.k2), largest


def _normalise(squared: Floats, largest: Floats, how: Reranking) -> None:
    """Divide squared distances by the largest of their row, and raise them to the variant's power, in place."""
    scale = np.divide(np.float32(1), largest, out=np.zeros_like(largest), where=largest > 0)
    squared *= scale if squared.ndim == 1 else scale[:, None]
    if how.variant == "torchreid":
        squared *= squared


def _mix(final: Floats, sums: Any, share: float) -> Floats:
    """share * distance + (1 - share) * Jaccard, which is 1 - s / (2 - s) if rows overlap and 1 otherwise."""
    final *= np.float32(share)
    final += np.float32(1 - share)
    rows = np.repeat(np.arange(len(final)), np.diff(sums.indptr))
    met = np.minimum(sums.data, np.float32(1))
    final[rows, sums.indices] -= np.float32(1 - share) * (met / (2 - met))
    return final
