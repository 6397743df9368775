"""The faiss index of a gallery: candidates by faiss, ranked and measured as `reidbench search` does."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from reidbench.errors import DataError, ReidbenchError
from reidbench.export.features import Named
from reidbench.files.names import shown
from reidbench.metrics import MetricError, search
from reidbench.metrics.neighbours import faiss_search

Kind = Literal["flat", "hnsw"]
MARGIN = 8  # candidates beyond k, so that float64 decides which is the k-th
TIED = 1e-5  # similarities of float32 vectors that may be equal
LINKS = 32  # of a vector in the graph of hnsw
VISITED = 128  # candidates that hnsw keeps while it searches, at least


class Index:
    """Unit vectors [N, D] of a gallery. `flat` compares all of them; `hnsw` follows a graph and may miss some.

    Raises ReidbenchError if faiss is missing, and DataError for an image whose features are all zero.
    """

    def __init__(self, gallery: Named, kind: Kind = "flat") -> None:
        self.kind = kind
        values = np.ascontiguousarray(gallery.features, np.float32)
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        if not norms.all():
            name = gallery.names[int(np.argmin(norms))]
            raise DataError(f"{shown(name)}: its features are all zero, so it has no cosine distance; remove the image")
        self.features = values / norms
        try:
            faiss = faiss_search.load()
        except MetricError as error:
            raise ReidbenchError(f"`reidbench serve`: {error}") from None
        self._index: Any = self._graph(faiss) if kind == "hnsw" else faiss.IndexFlatIP(values.shape[1])
        self._add(faiss)

    def _graph(self, faiss: Any) -> Any:
        return faiss.IndexHNSWFlat(self.features.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)

    def _add(self, faiss: Any) -> None:
        """Add the vectors, in one thread: several would link a graph in an order that changes from run to run."""
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            self._index.add(self.features)
        finally:
            faiss.omp_set_num_threads(threads)

    @property
    def exact(self) -> bool:
        """Whether answers are the nearest images for certain."""
        return self.kind == "flat"

    def __len__(self) -> int:
        return len(self.features)

    def nearest(self, feature: np.ndarray, k: int) -> tuple[list[int], list[float]]:
        """Return numbers and cosine distances (0 to 2) of the k nearest images of a feature [D], nearest first.

        Ties keep the order of the gallery. Raises DataError for a zero vector.
        """
        norm = np.linalg.norm(feature)
        if not norm:
            raise DataError("the network gives this image a zero vector, which has no cosine distance")
        unit = np.asarray(feature / norm, np.float32)[None]
        candidates = self._candidates(unit, k)
        found = search(unit, self.features[candidates], k)
        return candidates[found.indices[0]].tolist(), (found.squared[0].astype(float) / 2).tolist()

    def _candidates(self, unit: np.ndarray, k: int) -> np.ndarray:
        """Return sorted numbers of candidates: more than k, and all of those that are tied with the k-th."""
        wide = min(k + MARGIN, len(self))
        while True:
            similarities, found = self._found(unit, wide)
            crowded = len(found) > k and similarities[k - 1] - similarities[-1] <= TIED
            if wide == len(self) or not crowded:
                return np.sort(found)
            wide = min(2 * wide, len(self))

    def _found(self, unit: np.ndarray, wide: int) -> tuple[np.ndarray, np.ndarray]:
        if not self.exact:
            self._index.hnsw.efSearch = max(VISITED, 2 * wide)
        similarities, found = self._index.search(unit, wide)
        there = found[0] >= 0  # a graph may lead to fewer images
        return similarities[0][there], found[0][there]
