"""A stand-in for a published list in `reidbench rehearse`."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from reidbench.errors import DataError

from .params import Join, ListParams

FORMS: Mapping[Join, Callable[[int, PurePosixPath], str]] = {
    "name": lambda place, path: path.name,
    "stem": lambda place, path: path.stem,
    "path": lambda place, path: str(path),
    "id": lambda place, path: str(place),
}


def published_list(params: ListParams, folder: Path, names: Sequence[str]) -> Path:
    """Write a list of all images of the pool, to a file of the same name and format.

    Raises DataError for Parquet if pyarrow is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / params.file.name
    entries = [FORMS[params.by](place, PurePosixPath(name)) for place, name in enumerate(names)]
    kind = file.suffix.lower()
    if kind in (".pkl", ".pickle"):
        file.write_bytes(pickle.dumps(entries))
    elif kind == ".csv":
        with file.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([[params.by], *([entry] for entry in entries)])
    elif kind == ".parquet":
        _write_parquet(file, params.by, entries)
    else:
        file.write_text("".join(f"{entry}\n" for entry in entries), encoding="utf-8")
    return file


def _write_parquet(file: Path, column: str, entries: Sequence[str]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{file.name}: reading Parquet needs pyarrow: pip install pyarrow") from None
    parquet.write_table(pyarrow.table({column: list(entries)}), file)
