"""Nearest neighbours by faiss, if installed: a flat index, replicated on all GPUs if there are any."""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.metrics.errors import MetricError
from reidbench.metrics.products import Floats

from .vectors import Vectors

QUERIES = 4_096
# Without one of these (NVIDIA, ROCm, WSL) there is no GPU, and faiss need not be imported to find out.
_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
# Distributions that provide the module faiss. Installing two mixes their files.
_OWNERS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12", "faiss-gpu-cuvs")


def clash() -> str:
    """Reason why faiss cannot be used as installed, with the fix, or an empty string. Imports nothing."""
    found = [name for name in _OWNERS if _is_installed(name)]
    if len(found) < 2:
        return ""
    cure = f"pip uninstall -y {' '.join(found)}, then pip install {found[-1]} (or faiss-cpu, without a GPU)"
    return f"{' and '.join(found)} are installed together and overwrite each other's files: {cure}"


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def load() -> Any:
    """Import faiss. Raises MetricError if it cannot be imported, or is installed twice."""
    fault = clash()
    if fault:
        raise MetricError(fault)
    try:
        return import_module("faiss")
    except ImportError as error:
        cure = "pip install faiss-cpu, or 'reidbench[gpu]' on a machine with CUDA"
        raise MetricError(f"faiss cannot be imported ({error}): {cure}") from None


def gpus() -> int:
    """Number of GPUs that the installed faiss can use. Raises MetricError as `load` does, if faiss is installed."""
    if not any(Path(device).exists() for device in _DEVICES) or find_spec("faiss") is None:
        return 0
    faiss = load()
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
    faiss = load()
    halves = None if vectors.halves is None else -vectors.halves
    index: Any = faiss.IndexFlatIP(vectors.values.shape[1] + (halves is not None))
    if gpus():
        index = faiss.index_cpu_to_all_gpus(index)
    for start in range(0, len(vectors), QUERIES):
        part = slice(start, min(start + QUERIES, len(vectors)))
        index.add(_columns(vectors, part, None if halves is None else halves[part]))
    return index


def _columns(vectors: Vectors, part: slice, last: Any) -> Floats:
    """Vectors in the format of faiss; under euclidean with an extra column, so that x.y - |y|^2 / 2 is a product."""
    values = vectors.values[part]
    if vectors.halves is None:
        return values
    wider = np.empty((len(values), values.shape[1] + 1), np.float32)
    wider[:, :-1], wider[:, -1] = values, last
    return wider
