"""Results of each query, as evaluators keep them: read from artifacts, and used only where they give the metric."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reidbench.metrics.statistics import beyond_noise
from reidbench.store.artifact import Artifact, BadArtifact
from reidbench.store.artifacts import Store

Arrays = Mapping[str, Any]
Reader = Callable[[str], Arrays]  # key of an evaluation -> its arrays
CMC = re.compile(r"cmc([1-9][0-9]{0,6})")
NAMES = {"mAP": "ap", "mINP": "inp"}
IN_SOME_DRAWS = "in_some_draws"  # [Q]: queries that have a true match in some of several drawn galleries only
CLOSE = 1e-6  # how near the mean over queries must be to the metric


def no_arrays(key: str) -> Arrays:
    """No arrays: there is no store."""
    return {}


def reader(store: Store) -> Reader:
    """The per-query arrays of an evaluation in a store; none where it is not there or damaged."""

    def read(key: str) -> Arrays:
        try:
            return read_arrays(store.read(key), "per_query.npz")
        except (KeyError, BadArtifact):
            return {}

    return read


def better_by_queries(rows: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """[M, M] bool: whether row i is better than row j beyond noise, more being better; and where that can be told.

    Two rows are compared where both are known for the same valid queries.
    """
    better, told = np.zeros((2, len(rows), len(rows)), dtype=bool)
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows):
        if row is not None and not np.isinf(row).any() and np.isfinite(row).any():
            groups.setdefault(np.isnan(row).tobytes(), []).append(number)
    for members in groups.values():
        places = np.ix_(members, members)
        better[places], told[places] = beyond_noise([rows[number] for number in members]), True
    return better, told


def metric_per_query(metric: str, value: float, arrays: Arrays) -> np.ndarray | None:
    """One result's queries, if their mean is the metric: without the invalid ones, or with these as zero."""
    raw = raw_per_query(metric, arrays)
    if IN_SOME_DRAWS in arrays or raw is None or raw.ndim != 1 or raw.dtype.kind not in "fiub" or not len(raw):
        return None
    raw = raw.astype(np.float64)
    for values in (raw, np.nan_to_num(raw, nan=0.0)):
        valid = values[~np.isnan(values)]
        if len(valid) and abs(valid.mean() - value) <= CLOSE * max(1.0, abs(value)):
            return values
    return None


def why_unknown(metric: str, arrays: Arrays) -> str:
    """Why `metric_per_query` gives nothing for arrays that an evaluator kept."""
    if IN_SOME_DRAWS in arrays:
        count = f"{int(np.count_nonzero(arrays[IN_SOME_DRAWS]))} of its queries"
        return f"{count} have a true match in some of the drawn galleries only, so that their mean is not {metric}"
    return f"what its evaluator keeps of the queries does not give {metric}"


def raw_per_query(metric: str, arrays: Arrays) -> np.ndarray | None:
    """What an evaluator kept of its queries for a metric, whether or not that gives it; None where it kept nothing."""
    if metric == "score":
        parts = [raw_per_query(name, arrays) for name in ("cmc1", "mAP")]
        known = [part for part in parts if part is not None]
        return (known[0] + known[1]) / 2 if len(known) == 2 and known[0].shape == known[1].shape else None
    rank = CMC.fullmatch(metric)
    if not rank or metric in arrays:
        found: np.ndarray | None = arrays.get(metric, arrays.get(NAMES.get(metric, metric)))
        return found
    first, valid = arrays.get("first_hit"), arrays.get("valid")
    if first is None or valid is None or first.dtype.kind != "i" or first.shape != valid.shape:
        return None
    return np.where(valid, (first > 0) & (first <= int(rank[1])), np.nan)


def read_arrays(artifact: Artifact, name: str) -> dict[str, Any]:
    """The arrays of an .npz of an artifact; none when it has no such file, or it holds something else."""
    file = artifact.path / name
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as loaded:
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError):
        return {}  # Python objects, a single array, or no .npz at all


def read_notes(artifact: Artifact) -> Mapping[str, Any]:
    """Notes that an evaluator kept beside its numbers."""
    file = artifact.path / "notes.json"
    try:
        notes = json.loads(file.read_text()) if file.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}
