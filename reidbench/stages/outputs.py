"""What stages leave beside their networks: arrays, lists, and features of several methods as one."""

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

# Of a file of features, beside pids and camids, with what stands for an unknown one.
MORE_COLUMNS: Mapping[str, int | str] = {"clothes": UNKNOWN, "modality": "", "tracklets": UNKNOWN}
RESERVED = frozenset({"file", "allow_pickle"})  # arguments of numpy.savez


def save_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as .npz."""
    np.savez(file, **arrays)  # type: ignore[arg-type]


def selection_fault(answer: object, images: int) -> str:
    """What a selector of that many images should have returned; empty when it did."""
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
    """What an evaluator of that many queries did wrong; empty when it answered with Metrics that can be kept.

    Its numbers are looked at by `metric_values`.
    """
    if not isinstance(answer, Metrics):
        return f"must return Metrics, got {type(answer).__name__}"
    for what in ("per_query", "notes"):
        if not isinstance(getattr(answer, what), Mapping):
            return f"gave {what} that are not a mapping of names, but {type(getattr(answer, what)).__name__}"
    arrays = (fault for name, array in answer.per_query.items() if (fault := _array_fault(name, array, queries)))
    return next(arrays, "") or _notes_fault(answer.notes)


def _array_fault(name: object, given: object, queries: int) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"gave a per_query array with the name {shown_value(name)}; use letters, digits, '_', '-' and '.'"
    name = str.__str__(name)
    if name in RESERVED or name.endswith(".npy"):  # numpy would take "ap.npy" for the file of "ap"
        return f"gave a per_query array with the reserved name {name!r}; choose another"
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        return f"gave something else than an array for per_query {name!r}: {shown(str(error))}"
    if array.dtype.hasobject:
        return f"gave an array of objects for per_query {name!r}; give numbers"
    if array.ndim == 0 or len(array) != queries:
        return f"gave per_query {name!r} of shape {array.shape}; it must have one entry for each of {queries} queries"
    return ""


def _notes_fault(notes: Mapping[str, Any]) -> str:
    try:
        json.dumps(dict(notes), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        return f"gave notes that JSON cannot hold: {shown(str(error))}"
    return ""


def metric_values(given: object) -> tuple[dict[str, float], str]:
    """An evaluator's numbers by name, and what is wrong with them or nothing.

    True and text are not numbers, though Python makes numbers of them: a metric that is one is a slip of its author.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and str.strip(name) for name in given):
        return {}, f"no numbers by name, but {shown_value(given)}"
    plain = by_plain_name(given)
    if len(plain) < len(given):
        return {}, f"two numbers of one name: {', '.join(map(shown, plain))}"
    values = {name: _number(value) for name, value in plain.items()}
    wrong = [f"{name}, but {shown_value(plain[name])}" for name, value in values.items() if not math.isfinite(value)]
    names = (fault for name in values if (fault := _name_fault(name)))
    return values, next(names, "") or (f"no number for {'; '.join(wrong)}" if wrong else "")


def by_plain_name(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same by ordinary text: a subclass of str, like an enumeration's, may print and compare as it likes."""
    return {str.__str__(name): value for name, value in given.items()}


def _name_fault(name: str) -> str:
    if not name.isprintable():
        return f"a metric with the name {shown_value(name)}, which is not printable text"
    if name in COLUMNS:
        return f"a metric with the name {name!r}, which is a column of every table; choose another"
    return ""


def _number(value: Any) -> float:
    """A number of any library as a float, NaN for what is none."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__float__"):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # arrays and tensors of several values, 10**400
        return math.nan


def compare_with_declared(values: Mapping[str, float], declared: Mapping[str, Metric]) -> tuple[str, str]:
    """What is wrong with an evaluator's numbers, and what to note: a value out of its range, and undeclared names.

    An evaluator that declares nothing is of an older kind: nothing is noted, and its numbers are printed as they are;
    only what is too large to be averaged is then wrong.
    """
    large = (
        f"{name} {value}: too large to be averaged" for name, value in values.items() if abs(value) > LARGEST_METRIC
    )
    strange = [name for name in values if name not in declared] if declared else []
    note = f"{', '.join(strange)}: not declared by the evaluator, so shown as it is and never ranked" if strange else ""
    return next(large, "") or range_fault(values, declared), note


def write_selected(file: Path, pool: HiddenSplit, answer: Selection) -> None:
    """The pool's files by falling score, of equal scores those kept first: the order of released lists.

    The selector itself never saw a name. Columns: path, score, kept (0 or 1).
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
    """Query and gallery of one method, or of several as an ensemble; picture numbers are those of the first.

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
    """The labels beyond identity that evaluators are given, as arrays [N] by name: `query_clothes`, ...

    Where one part has a label, the others have it too: an image of a split without it has an unknown one, -1 or "".
    """
    found: dict[str, np.ndarray] = {}
    for name, unknown in MORE_COLUMNS.items():
        columns = {part: getattr(split, name) for part, split in parts.items()}
        if any(column is not None for column in columns.values()):
            for part, column in columns.items():
                found[f"{part}_{name}"] = np.asarray([unknown] * len(parts[part]) if column is None else column)
    return found


def joined(parts: list[np.ndarray], name: str) -> np.ndarray:
    """Features [N, D] of one network as they are, or of several as an ensemble's: at unit length, side by side.

    The cosine distance of concatenated unit features is the mean of the members' cosine distances, so an
    ensemble's evaluator sees ordinary features. Raises DataError, with the `name` of the features, for zero vectors.
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
