"""A set of float32 vectors compared with each other, with products and distances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import TILE_ROWS, Doubles, Floats, features, norms

PAIR_BYTES = 1 << 20  # vectors gathered at a time; staying in the second-level cache is twice as fast
UNIT = 5e-7  # lengths this close to 1 count as 1: features stored at length 1 need no copy
OFF_CENTRE = 0.9  # share of the mean squared length that is due to the mean vector


class Vectors:
    """Vectors [N, D] under one distance; `similarity` is larger for nearer vectors.

    cosine: vectors of length 1 and similarity x.y, so that the squared distance is 2 - 2 x.y;
    euclidean: unchanged vectors and similarity -|x - y|^2 / 2.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], distance: str) -> None:
        if distance not in ("cosine", "euclidean"):
            raise MetricError(f"distance={distance!r} is unknown; choose one of cosine, euclidean")
        parts = [features(name, values) for name, values in arrays.items()]
        if len({part.shape[1] for part in parts}) > 1:
            widths = [f"{name} {part.shape[1]}" for name, part in zip(arrays, parts, strict=True)]
            raise MetricError(f"{' but '.join(widths)} dimensions: both must have the same")
        lengths = np.concatenate([norms(name, part) for name, part in zip(arrays, parts, strict=True)])
        self.distance = distance
        self.cosine = distance == "cosine"
        centre = None if self.cosine else _centre(parts, lengths)
        as_it_is = bool((np.abs(lengths - 1) < UNIT).all()) if self.cosine else centre is None
        if len(parts) == 1 and as_it_is:
            self.values = np.ascontiguousarray(parts[0], np.float32)
        else:
            self.values = _stack(parts, lengths if self.cosine else None, centre)
        if centre is not None:
            lengths = norms("features", self.values)
        self.halves = None if self.cosine else np.float32(0.5) * lengths**2

    def __len__(self) -> int:
        return len(self.values)

    def block(self, rows: slice, cols: slice, out: Floats | None = None) -> Floats:
        """Similarities [rows, cols], from one matrix product."""
        found: Floats = np.matmul(self.values[rows], self.values[cols].T, out=out)
        if self.halves is not None:
            found -= self.halves[rows, None]
            found -= self.halves[cols]
        return found

    def pairs(self, rows: NDArray[Any], cols: NDArray[Any]) -> Floats:
        """Similarities of single pairs, [m]."""
        found = np.empty(len(rows), np.float32)
        step = max(1, PAIR_BYTES // (4 * self.values.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            x, y = self.values[rows[part]], self.values[cols[part]]
            if self.cosine:
                found[part] = np.einsum("ij,ij->i", x, y)
            else:  # from the difference: products would lose the digits of near pairs far from the origin
                x -= y
                found[part] = np.float32(-0.5) * np.einsum("ij,ij->i", x, x)
        return found

    def squared(self, similarities: Floats) -> Floats:
        """Squared distances."""
        found: Floats = np.float32(-2) * similarities
        if self.cosine:
            found += np.float32(2)
        np.maximum(found, 0, out=found)
        return found


def _centre(parts: list[NDArray[Any]], lengths: Floats) -> Doubles | None:
    """Mean vector [D], if it is so long that float32 products would lose the distances between the vectors."""
    total = sum(
        part[start : start + TILE_ROWS].sum(0, dtype=np.float64)
        for part in parts
        for start in range(0, len(part), TILE_ROWS)
    )
    mean = np.asarray(total / len(lengths))
    squares = float(np.mean(lengths.astype(np.float64) ** 2))
    if mean @ mean <= OFF_CENTRE * squares:
        return None
    # A round number near the mean: subtracting it keeps float32 values exact, and so equal distances equal.
    spread = np.sqrt(max(squares - float(mean @ mean), 0.0) / len(mean))
    unit = float(np.spacing(np.float32(np.abs(mean).max())))
    if spread / 8 > unit:
        unit = 2.0 ** np.floor(np.log2(spread / 8))
    return np.asarray(np.round(mean / unit) * unit)


def _stack(parts: list[NDArray[Any]], lengths: Floats | None, centre: Doubles | None) -> Floats:
    """One float32 copy, of length 1 if `lengths` are given."""
    values = np.empty((sum(map(len, parts)), parts[0].shape[1]), np.float32)
    stop = 0
    for part in parts:
        for start in range(0, len(part), TILE_ROWS):
            tile = part[start : start + TILE_ROWS]
            rows = slice(stop, stop + len(tile))
            stop = rows.stop
            values[rows] = tile if centre is None else tile - centre
            if lengths is not None:
                values[rows] /= np.where(lengths[rows] > 0, lengths[rows], 1)[:, None]
    return values
