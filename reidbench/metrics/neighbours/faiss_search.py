"""Nearest neighbours by faiss: a flat index, copied to all GPUs where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.products import Floats

from .vectors import Vectors

QUERIES = 4_096
# Without one of these (NVIDIA, ROCm, WSL) there is no GPU, and faiss need not be imported to know it.
_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def gpus() -> int:
    """How many GPUs the installed faiss can use."""
    if not any(Path(device).exists() for device in _DEVICES):
        return 0
    try:
        import faiss
    except ImportError:
        return 0
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def nearest(vectors: Vectors, k: int, farthest: bool = False) -> tuple[NDArray[np.int32], Floats, Floats | None]:
    """(indices [N, k], similarities [N, k] descending, least similarity [N] if `farthest`)."""
    index = _index(vectors)
    n = len(vectors)
    indices, similarities = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    least = np.empty(n, np.float32) if farthest else None
    for start in range(0, n, QUERIES):
        part = slice(start, min(start + QUERIES, n))
        query = _columns(vectors, part, 1.0)
        half = 0 if vectors.halves is None else vectors.halves[part, None]
        found, indices[part] = index.search(query, k)
        similarities[part] = found - half
        if least is not None:  # the most similar to the opposite vector
            least[part] = (-index.search(-query, 1)[0] - half)[:, 0]
    return indices, similarities, least


def _index(vectors: Vectors) -> Any:
    import faiss

    halves = None if vectors.halves is None else -vectors.halves
    index: Any = faiss.IndexFlatIP(vectors.values.shape[1] + (halves is not None))
    if gpus():
        index = faiss.index_cpu_to_all_gpus(index)
    for start in range(0, len(vectors), QUERIES):
        part = slice(start, min(start + QUERIES, len(vectors)))
        index.add(_columns(vectors, part, None if halves is None else halves[part]))
    return index


def _columns(vectors: Vectors, part: slice, last: Any) -> Floats:
    """Vectors as faiss takes them; under euclidean with one more column, so that x.y - |y|^2 / 2 is a product."""
    values = vectors.values[part]
    if vectors.halves is None:
        return values
    wider = np.empty((len(values), values.shape[1] + 1), np.float32)
    wider[:, :-1], wider[:, -1] = values, last
    return wider
