"""Readers of published file lists. Reading a pickle never runs code."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from reidbench.errors import DataError
from reidbench.files.text import read_lines, read_text

SUFFIXES = (".pkl", ".pickle", ".txt", ".csv", ".parquet")
# raised by the unpickler for damaged pickles, in addition to its documented errors
DAMAGES = (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)


class _Refused(Exception):
    """Raised for a pickle that refers to a global."""


class _PlainUnpickler(pickle.Unpickler):
    """Builds lists, strings and numbers; refuses everything looked up by name, such as classes and functions."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _Refused(f"{module}.{name}")


def read_list(file: Path, column: str) -> list[str]:
    """Return the entries of a list, best first: a pickled list of strings, lines of text, or `column` of a table.

    Raises DataError for a pickle other than a list of strings, and for a table without that column.
    """
    kind = file.suffix.lower()
    if kind not in SUFFIXES:
        raise DataError(f"{file}: unknown format of a list; use {', '.join(SUFFIXES)}")
    if kind in (".pkl", ".pickle"):
        entries = _read_pickle(file)
    elif kind == ".txt":
        entries = [line for line in read_lines(file, "list of names") if line.strip()]
    else:
        entries = _read_csv(file, column) if kind == ".csv" else _read_parquet(file, column)
    if not entries:
        raise DataError(f"{file}: the list is empty")
    return entries


def _read_pickle(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            found: Any = _PlainUnpickler(stream, encoding="utf-8").load()
    except _Refused as error:
        raise DataError(
            f"{file}: refused, since unpickling would call or create {error}, which a list of file names does not need"
        ) from None
    except (*DAMAGES, MemoryError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as a pickle: {error}") from None
    if type(found) is not list or not all(type(entry) is str for entry in found):
        raise DataError(f"{file}: the pickle must hold a list of file names, not {_describe(found)}")
    return found


def _describe(found: Any) -> str:
    if type(found) is not list:
        return f"a {type(found).__name__}"
    return "a list with " + ", ".join(sorted({type(entry).__name__ for entry in found} - {"str"}))


def _read_csv(file: Path, column: str) -> list[str]:
    rows = csv.reader(io.StringIO(read_text(file, "CSV text file"), newline=""))
    header = next(rows, [])
    if column not in header:
        raise DataError(f"{file}: no column {column!r} among {', '.join(header) or 'none'}")
    place = header.index(column)
    entries = []
    for row in filter(None, rows):
        if len(row) != len(header):
            raise DataError(f"{file}:{rows.line_num}: this line has {len(row)} columns, the first has {len(header)}")
        entries.append(row[place])
    return entries


def _read_parquet(file: Path, column: str) -> list[str]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise DataError(f"{file}: reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        columns = parquet.ParquetFile(file).schema_arrow.names
    except ArrowInvalid as error:
        raise DataError(f"{file}: cannot be read as Parquet: {error}") from None
    if column not in columns:
        raise DataError(f"{file}: no column {column!r} among {', '.join(columns)}")
    return [str(entry) for entry in parquet.read_table(file, columns=[column])[column].to_pylist()]
