"""Labels beyond identity of feature files: clothes, modality and tracklets, read only if a rule requires them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data.morelabels import UNKNOWN
from reidbench.errors import DataError
from reidbench.files.names import shown

from .names import Keys
from .pids import MISSING, Ints, array_of, mapped
from .rows import Rows
from .sources import Source, value_of

COLUMNS = {"clothes": "clothes", "modality": "modality", "tracklets": "tracklet"}  # of tables and manifests
NEEDED = tuple(COLUMNS)
SIDES = ("query", "gallery")
WHAT = {
    "clothes": "a number for each image, -1 if unknown",
    "modality": "a text for each image, such as visible or infrared",
    "tracklets": "a number for each image, -1 if it has no tracklet",
}
Needs = Mapping[str, str]  # label of NEEDED -> rule that requires it
More = Mapping[str, NDArray[Any]]  # by names of NEEDED: int64 [N], modality strings [N]


def more_of_rows(path: Path, rows: Rows, sides: Mapping[str, NDArray[np.intp]], needs: Needs) -> dict[str, More]:
    """Return the labels of both sides, `query_more` and `gallery_more`; `sides` has the rows of each.

    Raises DataError for a missing label that a rule requires.
    """
    found: dict[str, dict[str, NDArray[Any]]] = {f"{side}_more": {} for side in sides}
    for word, rule in needs.items():
        if word not in rows.more:
            where = f"a column {COLUMNS[word]} of the table or manifest, or an array {word}"
            raise DataError(f"{shown(path)}: no {word}; {rule} requires {WHAT[word]}, as {where}")
        unknown = "" if word == "modality" else str(UNKNOWN)
        column = [unknown if value == "" else value for value in rows.more[word]]
        given = {f"{word} of the {side}": np.array([column[row] for row in where]) for side, where in sides.items()}
        for side, values in zip(sides, numbered(path, word, given), strict=True):
            found[f"{side}_more"][word] = values
    return dict(found)


def more_of_keys(source: Source, keys: Keys, labels: Mapping[str, Any], needs: Needs) -> dict[str, More]:
    """Return the labels of both sides, `query_more` and `gallery_more`, from separate keys; `labels` has pids by role.

    Raises DataError for a label that a rule requires and that is missing or of the wrong length.
    """
    found: dict[str, dict[str, Any]] = {f"{side}_more": {} for side in SIDES}
    for word, rule in needs.items():
        roles = [f"{side}_{word}" for side in SIDES]
        if missing := [role for role in roles if role not in keys]:
            raise DataError(f"{shown(source.path)}: {keys.missing(*missing)}; {rule} requires {WHAT[word]}")
        columns = numbered(source.path, word, {keys.first(role): value_of(source, keys, role) for role in roles})
        for side, role, column in zip(SIDES, roles, columns, strict=True):
            check_length(source.path, keys, role, column, f"{side}_pids", labels[f"{side}_pids"])
            found[f"{side}_more"][word] = column
    return dict(found)


def check_length(path: Path, keys: Keys, role: str, values: NDArray[Any], pids_role: str, pids: Ints) -> None:
    """Raise DataError unless a key has one row or entry for each pid."""
    if len(values) != len(pids):
        what = "rows" if values.ndim == 2 else "entries"
        cure = "; transpose it: one row per image" if values.shape[1:] == pids.shape else ""
        raise DataError(
            f"{shown(path)}: {shown(keys.first(role))} has {len(values)} {what} but "
            f"{shown(keys.first(pids_role))} has {len(pids)} entries{cure}"
        )


def numbered(path: Path, word: str, columns: Mapping[str, Any]) -> list[NDArray[Any]]:
    """Return the columns [N] of one label, of query and gallery, as evaluators take them; `columns` is by key.

    Distinct strings are numbered. Raises DataError, with the key, for a column of a different type, columns
    without a known value, and a modality in two spellings.
    """
    found = (
        [_words(path, key, given) for key, given in columns.items()]
        if word == "modality"
        else _numbers(path, word, columns)
    )
    unknown = "" if word == "modality" else UNKNOWN
    if all((column == unknown).all() for column in found):
        both = " and ".join(map(shown, columns))
        raise DataError(f"{shown(path)}: {both} have no known {word}; expected {WHAT[word]}")
    if word == "modality":
        _refuse_two_spellings(path, list(columns), [text for column in found for text in column.tolist()])
    return found


def _numbers(path: Path, word: str, columns: Mapping[str, Any]) -> list[NDArray[Any]]:
    for key, given in columns.items():
        _refuse_missing(path, word, key, array_of(path, key, given).ravel())
    values = mapped(path, columns).values
    for key, column in values.items():
        if (column < UNKNOWN).any():
            row = int(np.argmax(column < UNKNOWN))
            raise DataError(f"{shown(path)}: {shown(key)}[{row}] = {column[row]} is negative; only -1 (unknown) may be")
    return list(values.values())


def _refuse_missing(path: Path, word: str, key: str, column: NDArray[Any]) -> None:
    """Raise DataError for the first entry that is empty, NaN, or a word for a missing value."""
    missing = np.zeros(len(column), bool)
    if column.dtype.kind == "f":
        missing = np.isnan(column)
    elif column.dtype.kind == "U":
        missing = np.isin(np.char.lower(np.char.strip(column)), ("", *MISSING)) if len(column) else missing
    if missing.any():
        row = int(np.argmax(missing))
        what = "empty" if not str(column[row]).strip() else f"{shown(str(column[row]))!r}, a missing value"
        cure = "-1 for unknown clothes" if word == "clothes" else "-1 for an image without a tracklet"
        raise DataError(f"{shown(path)}: {shown(key)}[{row}] is {what}; write {cure}")


def _words(path: Path, key: str, given: Any) -> NDArray[Any]:
    column = array_of(path, key, given)
    if column.dtype.kind != "U":
        kind = "Python objects; save strings with .astype(str)" if column.dtype == object else column.dtype
        raise DataError(f"{shown(path)}: {shown(key)} must contain strings such as visible and infrared, not {kind}")
    column = column.ravel() if column.ndim == 2 and 1 in column.shape else column
    if column.ndim != 1:
        raise DataError(f"{shown(path)}: {shown(key)} must have one dimension, not shape {column.shape}")
    return np.char.strip(column) if column.size else column


def _refuse_two_spellings(path: Path, keys: Sequence[str], texts: Iterable[str]) -> None:
    spelled: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        if (other := spelled.setdefault(text.casefold(), text)) != text:
            both = " and ".join(map(shown, keys))
            raise DataError(
                f"{shown(path)}: {both} have the modalities {shown(other)!r} and {shown(text)!r}, which differ only in "
                "case; use one spelling"
            )
