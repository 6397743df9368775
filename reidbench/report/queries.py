"""Per-query results that evaluators store; used only if their mean is the metric."""

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
IN_SOME_DRAWS = "in_some_draws"  # [Q]: queries with a true match in only some of the drawn galleries
CLOSE = 1e-6  # relative tolerance between the mean over queries and the metric


def no_arrays(key: str) -> Arrays:
    """Return no arrays, for boards without a store."""
    return {}


def reader(store: Store) -> Reader:
    """Return a reader of the per-query arrays in a store; it returns none if an evaluation is missing or damaged."""

    def read(key: str) -> Arrays:
        try:
            return read_arrays(store.read(key), "per_query.npz")
        except (KeyError, BadArtifact):
            return {}

    return read


def better_by_queries(rows: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return [M, M] bool: whether row i is significantly better than row j, and whether both compare.

    Higher values are better. Two rows compare if both are known for the same valid queries.
    """
    better, comparable = np.zeros((2, len(rows), len(rows)), dtype=bool)
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows):
        if row is not None and not np.isinf(row).any() and np.isfinite(row).any():
            groups.setdefault(np.isnan(row).tobytes(), []).append(number)
    for members in groups.values():
        places = np.ix_(members, members)
        better[places], comparable[places] = beyond_noise([rows[number] for number in members]), True
    return better, comparable


def metric_per_query(metric: str, value: float, arrays: Arrays) -> np.ndarray | None:
    """Return one result by query if the mean is the metric; invalid queries are NaN, or 0 if they count as 0."""
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
    """Return the reason why `metric_per_query` returns None for an evaluator's arrays."""
    if IN_SOME_DRAWS in arrays:
        count = f"{int(np.count_nonzero(arrays[IN_SOME_DRAWS]))} of its queries"
        return f"{count} have a true match in only some of the drawn galleries, so their mean is not {metric}"
    return f"the per-query results that its evaluator stores do not give {metric}"


def raw_per_query(metric: str, arrays: Arrays) -> np.ndarray | None:
    """Return an evaluator's per-query values for a metric without checking their mean, or None if it stored none."""
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
    """Return the arrays of an .npz file of an artifact; empty if it is missing or not readable."""
    file = artifact.path / name
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as loaded:
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError):
        return {}  # Python objects, a single array, or not an .npz file


def read_notes(artifact: Artifact) -> Mapping[str, Any]:
    """Return the notes.json of an evaluation; empty if it is missing or not readable."""
    file = artifact.path / "notes.json"
    try:
        notes = json.loads(file.read_text()) if file.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}
