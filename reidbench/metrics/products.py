"""Distances of queries to a gallery: fast float32 blocks, and float64 for the few pairs that float32 cannot order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MetricError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]

BLOCK_ROWS = 512  # products of far fewer rows run at up to a third less speed
LEAST_BLOCK_ROWS = 128
BLOCK_BYTES = 192 << 20
TILE_ROWS = 1024  # gallery rows converted at a time if the features are not float32
PAIR_BYTES = 1 << 20
_LARGEST = 1e18  # squares of larger norms overflow float32


class Products:
    """Sort keys of a gallery [G, D] for each of the queries [Q, D]: smaller is nearer.

    cosine: negative cosine;
    euclidean: squared distance minus the query's own squared norm. Both order a row as the distance does. Under cosine
    a zero vector has the key 0 with every vector; `refuse_zero` finds them.
    """

    def __init__(self, query: NDArray[Any], gallery: NDArray[Any], distance: str) -> None:
        self.query, self.gallery = features("query_features", query), features("gallery_features", gallery)
        if self.query.shape[1] != self.gallery.shape[1]:
            widths = f"query_features {self.query.shape[1]} but gallery_features {self.gallery.shape[1]} dimensions"
            raise MetricError(f"{widths}: both must have the same")
        self.cosine = distance == "cosine"
        self.query_norms = norms("query_features", self.query)
        self.gallery_norms = norms("gallery_features", self.gallery)
        if self.cosine:
            self._columns = _inverse(self.gallery_norms)
        else:
            self._columns = (self.gallery_norms.astype(np.float64) ** 2).astype(np.float32)
        self.block_rows = max(LEAST_BLOCK_ROWS, min(BLOCK_ROWS, BLOCK_BYTES // (4 * len(self.gallery))))

    def blocks(self) -> Iterator[Floats]:
        """Yield keys [b, G] of consecutive queries, in one buffer that is reused for the next block."""
        keys = np.empty((min(self.block_rows, len(self.query)), len(self.gallery)), np.float32)
        for start in range(0, len(self.query), self.block_rows):
            rows = slice(start, min(start + self.block_rows, len(self.query)))
            out = keys[: rows.stop - start]
            self._multiply(self._weighted(rows).astype(np.float32), out)
            if self.cosine:
                out *= self._columns
            else:
                out += self._columns
            yield out

    def _multiply(self, query: Floats, out: Floats) -> None:
        if _multipliable(self.gallery):
            np.matmul(query, self.gallery.T, out=out)
            return
        for start in range(0, len(self.gallery), TILE_ROWS):
            tile = self.gallery[start : start + TILE_ROWS].astype(np.float32)
            np.matmul(query, tile.T, out=out[:, start : start + TILE_ROWS])

    def _weighted(self, rows: slice | Rows) -> Doubles:
        """Queries times the factor that turns their products into keys: of length 1, or times 2, negated."""
        query: Doubles = self.query[rows].astype(np.float64)
        if self.cosine:
            query *= -_inverse(np.sqrt(np.einsum("ij,ij->i", query, query)))[:, None]
        else:
            query *= -2.0
        return query

    def window(self, start: int, stop: int) -> Doubles:
        """Difference [b] below which float32 keys of one row may be in either order.

        Rounding errors of a sum of D products grow with sqrt(D). For 5 million products of unit vectors in 768 and
        2,048 dimensions, no error exceeded a sixth of this.
        """
        return self._scales(self.query_norms[start:stop], np.finfo(np.float32))

    def tolerance(self, queries: Rows) -> Doubles:
        """Difference [m] below which float64 keys are equal."""
        return self._scales(self.query_norms[queries], np.finfo(np.float64))

    def _scales(self, query_norms: Floats, precision: np.finfo[Any]) -> Doubles:
        lengths: Doubles = query_norms.astype(np.float64)
        largest = float(self.gallery_norms.max())
        scales = np.ones_like(lengths) if self.cosine else 2.0 * lengths * largest + largest**2
        scales *= float(precision.eps) / 2 * (8 + self.query.shape[1] ** 0.5)
        return scales

    def pairs(self, queries: Rows, rows: Rows) -> Doubles:
        """float64 keys of single pairs, [m]; the same pair of vectors always gives the same key."""
        keys = np.empty(len(rows))
        step = max(1, PAIR_BYTES // (8 * self.gallery.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            gallery = self.gallery[rows[part]].astype(np.float64)
            squares = np.einsum("ij,ij->i", gallery, gallery)
            products = np.einsum("ij,ij->i", self._weighted(queries[part]), gallery)
            keys[part] = products * _inverse(np.sqrt(squares)) if self.cosine else products + squares
        return keys

    def rows(self, queries: Rows) -> Doubles:
        """float64 keys of whole rows, [m, G], for queries whose whole gallery is near-tied."""
        keys = np.empty((len(queries), len(self.gallery)))
        weighted = self._weighted(queries)
        for start in range(0, len(self.gallery), TILE_ROWS):
            tile = self.gallery[start : start + TILE_ROWS].astype(np.float64)
            squares = np.einsum("ij,ij->i", tile, tile)
            products = weighted @ tile.T
            keys[:, start : start + TILE_ROWS] = (
                products * _inverse(np.sqrt(squares)) if self.cosine else products + squares
            )
        return keys


def features(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return the array if it is a matrix of real numbers with rows and columns. Raises MetricError otherwise."""
    values = np.asarray(values)
    if values.ndim != 2:
        raise MetricError(f"{name} must have two dimensions [images, values], not shape {values.shape}")
    if values.dtype.kind not in "fiu":
        raise MetricError(f"{name} must be real numbers, not {values.dtype}")
    if not values.shape[1]:
        raise MetricError(f"{name} has no values: its shape is {values.shape}")
    return values


def unit(vectors: NDArray[Any]) -> Floats:
    """Vectors [N, D] as float32 of length 1; zero vectors stay."""
    rows: Floats = np.asarray(vectors, dtype=np.float32)
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    return found


def norms(name: str, values: NDArray[Any]) -> Floats:
    """Euclidean norms [N]. Raises MetricError for the first row that is not finite or out of range for float32."""
    lengths = np.empty(len(values), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(values), TILE_ROWS):
            tile = values[start : start + TILE_ROWS].astype(np.float32, copy=False)
            lengths[start : start + TILE_ROWS] = np.sqrt(np.einsum("ij,ij->i", tile, tile))
    doubtful = np.flatnonzero(~((lengths > 1 / _LARGEST) & (lengths < _LARGEST)))
    for row in doubtful:
        if not np.isfinite(values[row]).all():
            raise MetricError(f"{name} row {row} contains NaN or infinity")
        length = _length(values[row])
        if length and not 1 / _LARGEST < length < _LARGEST:
            raise MetricError(
                f"{name} row {row} has length {length:.3g}, out of range for float32 products; divide the features "
                "so that lengths are near 1"
            )
        lengths[row] = length
    return lengths


def refuse_zero(name: str, zero: NDArray[np.bool_], euclidean: bool = True) -> None:
    """Raise MetricError with the first row and the count if `zero` [N] marks any: zero vectors have no cosine distance.

    `euclidean`: whether the message suggests the Euclidean distance.
    """
    rows = np.flatnonzero(zero)
    if not len(rows):
        return
    cure = ", or use distance=euclidean" if euclidean else ""
    share = f"{len(rows)} of {len(zero)} rows"
    raise MetricError(
        f"{name} row {rows[0]} is a zero vector, which has no cosine distance (zero vectors: {share}); "
        f"check the network or file that it comes from{cure}"
    )


def _length(row: NDArray[Any]) -> float:
    """Euclidean norm of finite values of any size."""
    values = row.astype(np.float64)
    largest = float(np.abs(values).max())
    return largest * float(np.linalg.norm(values / largest)) if largest else 0.0


def _inverse(lengths: NDArray[Any]) -> NDArray[Any]:
    inverse: NDArray[Any] = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse


def _multipliable(values: NDArray[Any]) -> bool:
    """Whether BLAS accepts the matrix in its memory layout."""
    return values.dtype == np.float32 and (values.flags.c_contiguous or values.flags.f_contiguous)
