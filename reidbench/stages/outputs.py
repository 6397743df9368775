"""Outputs of stages other than networks: arrays, lists, and joined features of several methods."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.components import Metric
from reidbench.contexts import Embedded, Metrics, Selection
from reidbench.data import HiddenSplit, Split
from reidbench.data.morelabels import UNKNOWN
from reidbench.errors import DataError
from reidbench.files.names import shown, shown_value
from reidbench.registry.metrics import COLUMNS, NAME, range_fault
from reidbench.store.manifests import LARGEST_METRIC

# Columns of a feature file other than pids and camids, with their values for unknown labels.
MORE_COLUMNS: Mapping[str, int | str] = {"clothes": UNKNOWN, "modality": "", "tracklets": UNKNOWN}
RESERVED = frozenset({"file", "allow_pickle"})  # arguments of numpy.savez


def save_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as .npz."""
    np.savez(file, **arrays)  # type: ignore[arg-type]


def selection_fault(answer: object, images: int) -> str:
    """Return what a selector should have returned for this number of images; "" if the answer is valid."""
    if not isinstance(answer, Selection) or np.shape(answer.scores) != (images,):
        return "a Selection with one score per pool image"
    unscored = np.flatnonzero(~np.isfinite(np.asarray(answer.scores, dtype=np.float64)))
    if len(unscored):
        return f"scores that are numbers, not NaN or infinity as for index {unscored[0]}"
    chosen = np.asarray(answer.indices)
    if chosen.ndim != 1 or not len(chosen) or not np.issubdtype(chosen.dtype, np.integer):
        return "indices that are a list of whole numbers, at least one"
    if chosen.min() < 0 or chosen.max() >= images or len(np.unique(chosen)) < len(chosen):
        return f"indices that are different and from 0 to {images - 1}"
    return ""


def answer_fault(answer: object, queries: int) -> str:
    """Return the error in an evaluator's answer for this number of queries; "" if it is valid.

    Its values are checked by `metric_values`.
    """
    if not isinstance(answer, Metrics):
        return f"must return Metrics, not {type(answer).__name__}"
    for what in ("per_query", "notes"):
        if not isinstance(getattr(answer, what), Mapping):
            return f"returned {what} that are not a mapping of names, but {type(getattr(answer, what)).__name__}"
    arrays = (fault for name, array in answer.per_query.items() if (fault := _array_fault(name, array, queries)))
    return next(arrays, "") or _notes_fault(answer.notes)


def _array_fault(name: object, given: object, queries: int) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"returned a per_query array with the name {shown_value(name)}; use letters, digits, '_', '-' and '.'"
    name = str.__str__(name)
    if name in RESERVED or name.endswith(".npy"):  # numpy would use "ap.npy" as the file of "ap"
        return f"returned a per_query array with the reserved name {name!r}; rename it"
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        return f"returned per_query {name!r} that is not an array: {shown(str(error))}"
    if array.dtype.hasobject:
        return f"returned an array of objects for per_query {name!r}; use numbers"
    if array.ndim == 0 or len(array) != queries:
        return (
            f"returned per_query {name!r} of shape {array.shape}; it must have one entry for each of {queries} queries"
        )
    return ""


def _notes_fault(notes: Mapping[str, Any]) -> str:
    try:
        json.dumps(dict(notes), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        return f"returned notes that cannot be written as JSON: {shown(str(error))}"
    return ""


def metric_values(given: object) -> tuple[dict[str, float], str]:
    """Return an evaluator's values by name, and the first error in them or "".

    Rejects True and text, which Python would convert to numbers: such a metric is a mistake.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and str.strip(name) for name in given):
        return {}, f"no mapping of names to numbers, but {shown_value(given)}"
    plain = by_plain_name(given)
    if len(plain) < len(given):
        return {}, f"two metrics with the same name: {', '.join(map(shown, plain))}"
    values = {name: _number(value) for name, value in plain.items()}
    wrong = [f"{name}, but {shown_value(plain[name])}" for name, value in values.items() if not math.isfinite(value)]
    names = (fault for name in values if (fault := _name_fault(name)))
    return values, next(names, "") or (f"no number for {'; '.join(wrong)}" if wrong else "")


def by_plain_name(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with plain text as names: subclasses of str, such as enums, may print and compare differently."""
    return {str.__str__(name): value for name, value in given.items()}


def _name_fault(name: str) -> str:
    if not name.isprintable():
        return f"a metric with the name {shown_value(name)}, which is not printable text"
    if name in COLUMNS:
        return f"a metric with the name {name!r}, which is a column of every table; rename it"
    return ""


def _number(value: Any) -> float:
    """Return a number of any library as a float, NaN for anything else."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__float__"):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # arrays and tensors of several values, 10**400
        return math.nan


def compare_with_declared(values: Mapping[str, float], declared: Mapping[str, Metric]) -> tuple[str, str]:
    """Return the first value outside its declared range as an error, and a note about undeclared names.

    Evaluators without declarations get no note and their values are printed unchanged; only values too large to be
    averaged are errors.
    """
    large = (
        f"{name} {value}: too large to be averaged" for name, value in values.items() if abs(value) > LARGEST_METRIC
    )
    strange = [name for name in values if name not in declared] if declared else []
    note = f"{', '.join(strange)}: not declared by the evaluator, so shown as it is and never ranked" if strange else ""
    return next(large, "") or range_fault(values, declared), note


def write_selected(file: Path, pool: HiddenSplit, answer: Selection) -> None:
    """Write the pool's files by descending score, kept ones first among ties: the order of released lists.

    The selector does not see the names. Columns: path, score, kept (0 or 1).
    """
    kept = np.zeros(len(pool), dtype=np.int64)
    kept[answer.indices] = 1
    scores = np.asarray(answer.scores)
    with file.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(("path", "score", "kept"))
        for row in np.lexsort((np.arange(len(pool)), -kept, -scores)).tolist():
            lines.writerow((pool._files[row], repr(float(scores[row])), kept[row]))


def joined_features(files: list[Path]) -> tuple[Embedded, Embedded]:
    """Return query and gallery of one method, or of several as an ensemble; image numbers are those of the first.

    Raises DataError for a member with zero vectors, which have no cosine distance.
    """
    loaded = [dict(np.load(file)) for file in files]
    sides = []
    for side in ("query", "gallery"):
        features = joined([columns[f"{side}_features"] for columns in loaded], f"{side}_features")
        first = loaded[0]
        labels = first[f"{side}_pids"], first[f"{side}_camids"], first.get(f"{side}_images")
        more = (first.get(f"{side}_{name}") for name in MORE_COLUMNS)
        sides.append(Embedded(features, *labels, *more))
    return sides[0], sides[1]


def more_columns(parts: Mapping[str, Split]) -> dict[str, np.ndarray]:
    """Return labels beyond identity for evaluators, as arrays [N] by name: `query_clothes`, ...

    If one part has a label, all have it: images of a split without it have the unknown value, -1 or "".
    """
    found: dict[str, np.ndarray] = {}
    for name, unknown in MORE_COLUMNS.items():
        columns = {part: getattr(split, name) for part, split in parts.items()}
        if any(column is not None for column in columns.values()):
            for part, column in columns.items():
                found[f"{part}_{name}"] = np.asarray([unknown] * len(parts[part]) if column is None else column)
    return found


def joined(parts: list[np.ndarray], name: str) -> np.ndarray:
    """Return features [N, D] of one network, or the concatenated unit-length features of an ensemble.

    The cosine distance of concatenated unit features is the mean of the members' cosine distances, so evaluators need
    no special case. Raises DataError, with the `name` of the features, for zero vectors.
    """
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([_unit(part, f"member {i} of the ensemble: {name}") for i, part in enumerate(parts, 1)], 1)


def _unit(features: np.ndarray, name: str) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    zero = np.flatnonzero(lengths == 0)
    if len(zero):
        raise DataError(
            f"{name} row {zero[0]} is a zero vector, which has no cosine distance (zero vectors: {len(zero)} of "
            f"{len(features)} rows); check its network"
        )
    return np.asarray(features / np.maximum(lengths, 1e-12))
