"""Feature tables with one row per image: CSV and parquet with part, pid, camid and the feature values."""

from __future__ import annotations

import csv
import importlib
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import compress, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.data.pictures.images import memory_limit
from reidbench.data.walk import first_names
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.text import read_text

from .beyond import NEEDED
from .names import IMAGE_NAMES, NOUNS, PART_NAMES, plain
from .pids import EXACT, fault
from .rows import PART_OF, Rows

COLUMNS = "part (query or gallery), pid, camid, f0, f1, ..."
_NUMBERED = re.compile(
    r"(?P<stem>|f|dim|feat|feats|feature|features|emb|embedding)[_\- .]?(?P<number>[0-9]{1,6})", re.ASCII | re.I
)
# Numeric columns that are not part of a feature: pandas writes the first ones, and the last are labels.
_NOT_FEATURES = {
    plain(name) for name in ("", "unnamed: 0", "__index_level_0__", "index", "time", "frame", "seq", "sequence")
} | {plain(name) for word in NEEDED for name in NOUNS[word]}
_DECIMALS = re.compile(r"[0-9eE.+\-,]*", re.ASCII)
_WHOLE_FLOAT = re.compile(r"(-?[0-9]+)\.0+", re.ASCII)


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its extension."""
    return path.suffix.lower() in (".csv", ".parquet") and not path.is_dir()


def read_table(path: Path, camera: bool, needs: Collection[str] = ()) -> Rows:
    """Read a CSV or parquet file. Without `camera`, the column camid may be missing.

    Columns of labels beyond identity are read if `needs` names them, and may be missing.

    Rows of the training part are skipped, but their pids are kept. Raises DataError, with the line of a CSV file or the
    row of a parquet file, for a missing column or value, an unknown part, and a feature value that is not a number.
    """
    return (_csv if path.suffix.lower() == ".csv" else _parquet)(path, camera, needs)


@dataclass(frozen=True)
class Header:
    """Indices of the columns of a table; `features` are in order."""

    part: int
    pid: int
    camid: int | None
    features: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    more: Mapping[str, int] = field(default_factory=dict)  # labels beyond identity


def find_column(where: str, names: Sequence[str], accepted: Sequence[str]) -> int | None:
    """Return the index of the column with one of these names, or None. Raises DataError for two such columns."""
    wanted = {plain(name) for name in accepted}
    found = [place for place, name in enumerate(names) if plain(name) in wanted]
    if len(found) > 1:
        twice = " and ".join(repr(shown(names[place])) for place in found[:2])
        raise DataError(f"{where}: the columns {twice} mean the same; remove one of them")
    return found[0] if found else None


def _header(where: str, names: Sequence[str], numeric: Sequence[bool], camera: bool, needs: Collection[str]) -> Header:
    """Find the columns by name; `numeric` marks those that contain numbers."""
    part, pid, camid = (find_column(where, names, found) for found in (PART_NAMES, NOUNS["pids"], NOUNS["camids"]))
    lacking = [name for name, place in (("part", part), ("pid", pid)) if place is None]
    if camera and camid is None:
        lacking.append("camid")
    if part is None or pid is None or lacking:
        hints = "; to score without the camera rule: --no-camera" if "camid" in lacking else ""
        named = f"{', '.join(lacking[:-1])} or {lacking[-1]}" if len(lacking) > 1 else lacking[0]
        raise DataError(
            f"{where}: no column {named}; expected {COLUMNS}; the file has: {first_names(list(names))}{hints}"
        )
    more = {word: place for word in needs if (place := find_column(where, names, NOUNS[word])) is not None}
    taken = {part, pid, camid, *more.values()}
    rest = [place for place in range(len(names)) if place not in taken]
    numbered = _numbered(where, names, rest)
    if numbered:
        unread = [shown(names[place]) for place in rest if place not in numbered]
        ignored = (f"ignored: {first_names(unread)}",) if unread else ()
        return Header(part, pid, camid, numbered, ignored, more)
    found = [place for place in rest if numeric[place] and plain(names[place]) not in _NOT_FEATURES]
    if not found:
        wanted = {plain(name) for name in NOUNS["features"]}
        hint = "; to label the features of another file with a manifest, use --manifest" if "path" in names else ""
        if alike := [name for name in names if plain(name) in wanted]:
            hint += f"; {shown(alike[0])} must be a list of numbers, or one column per number"
        raise DataError(
            f"{where}: no feature columns; expected {COLUMNS}; the file has: {first_names(list(names))}{hint}"
        )
    others = [shown(names[place]) for place in rest if place not in found]
    warning = f"{len(found)} columns are used as the feature: {first_names([names[place] for place in found])}"
    warning += f"; ignored: {first_names(others)}" if others else ""
    return Header(part, pid, camid, tuple(found), (warning,), more)


def _numbered(where: str, names: Sequence[str], rest: Sequence[int]) -> tuple[int, ...]:
    """Return the columns f0, f1, ... in the order of their numbers."""
    matches = {place: match for place in rest if (match := _NUMBERED.fullmatch(names[place].strip()))}
    stems = {match["stem"].lower() for match in matches.values()}
    if len(stems) > 1:
        raise DataError(
            f"{where}: numbered feature columns with several names ({', '.join(map(repr, sorted(stems)))}); keep one"
        )
    found = sorted((int(match["number"]), place) for place, match in matches.items())
    numbers = [number for number, _ in found]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        gap = next(number for number, after in pairwise(numbers) if after != number + 1)
        raise DataError(f"{where}: the feature columns are not numbered consecutively; see the one after number {gap}")
    return tuple(place for _, place in found)


def part_of(where: str, given: str) -> str:
    """Return query, gallery or train. Raises DataError for another part."""
    part = PART_OF.get(given.strip().lower())
    if part is None:
        raise DataError(f"{where}: unknown part {shown(given)!r}; use query, gallery or train")
    return part


def label_of(where: str, column: str, text: str) -> str:
    """Return a pid or camid unchanged. Raises DataError if it is invalid."""
    if why := fault(text):
        raise DataError(f"{where}: {shown(column)} {shown(text)!r} {why}")
    return text


# ------------------------------------------------------------------ CSV
def _beyond(line: str, column: str, text: str, word: str) -> str:
    """Return a label beyond identity, "" for an empty cell. With empty cells, pandas writes whole numbers as 3.0."""
    if not text.strip():
        return ""
    whole = _WHOLE_FLOAT.fullmatch(text) if word != "modality" else None
    return label_of(line, column, whole[1] if whole else text)


def _csv(path: Path, camera: bool, needs: Collection[str]) -> Rows:
    with open_csv(path) as reader:
        return _csv_rows(shown(path), reader, camera, needs)


@contextmanager
def open_csv(path: Path) -> Iterator[Any]:
    """Yield the csv.reader of a file. Raises DataError if the file is too large, not text, or has no commas."""
    if (size := path.stat().st_size) > memory_limit():
        raise DataError(f"{shown(path)}: its {size} bytes exceed a quarter of this machine's memory")
    text = read_text(path, "CSV text file")
    first = text.partition("\n")[0]
    if "," not in first and (other := re.search(r"[;\t|]", first)):
        raise DataError(f"{shown(path)}:1: columns are separated by {other[0]!r}; save the file with commas")
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        yield reader
    except csv.Error as error:
        raise DataError(f"{shown(path)}:{reader.line_num}: not a CSV text file: {shown(str(error))}") from None


def _csv_rows(where: str, reader: Any, camera: bool, needs: Collection[str]) -> Rows:
    names = next(reader, None) or []
    header: Header | None = None
    features, parts, pids, camids, train = [], [], [], [], []
    more: dict[str, list[str]] = {}
    for row in reader:
        line = f"{where}:{reader.line_num}"
        if not row:
            continue
        if len(row) != len(names):
            raise DataError(f"{line}: this line has {len(row)} columns, the first has {len(names)}")
        header = header or _header(f"{where}:1", names, [_is_number(cell) for cell in row], camera, needs)
        part = part_of(line, row[header.part])
        pid = label_of(line, names[header.pid], row[header.pid])
        if part == "train":
            train.append(pid)
            continue
        camids.append("-1" if header.camid is None else label_of(line, names[header.camid], row[header.camid]))
        features.append(_cells(line, names, [row[place] for place in header.features], header.features))
        parts.append(part)
        pids.append(pid)
        for word, place in header.more.items():
            more.setdefault(word, []).append(_beyond(line, names[place], row[place], word))
    if header is None:
        _header(f"{where}:1", names, [True] * len(names), camera, needs)
    if header is None or not features:
        raise DataError(f"{where}: no query and gallery rows below the header")
    cameras = camids if header.camid is not None else None
    return Rows(np.stack(features), parts, pids, cameras, train, header.warnings, more=more)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()  # a missing number is reported with its line
    return True


def _cells(line: str, names: Sequence[str], cells: list[str], places: Sequence[int]) -> NDArray[np.float64]:
    """Parse the numbers of one row. float() alone would accept 1_0 and digits of other scripts."""
    try:
        values = np.array(list(map(float, cells)))
        if np.isfinite(values).all() and _DECIMALS.fullmatch(",".join(cells)):
            return values
    except ValueError:
        pass
    for cell, place in zip(cells, places, strict=True):
        if not (_is_number(cell) and cell.strip() and math.isfinite(float(cell)) and _DECIMALS.fullmatch(cell)):
            what = (
                "is missing"
                if cell.strip().lower() in ("", "nan")
                else f"{shown(cell)!r} is not a finite decimal number"
            )
            raise DataError(f"{line}: {shown(names[place])} {what}; every image needs a complete feature")
    raise AssertionError(cells)


# ------------------------------------------------------------------ parquet
def _parquet(path: Path, camera: bool, needs: Collection[str]) -> Rows:
    return _parquet_rows(path, _open_parquet(path), camera, needs)


def named_table(path: Path) -> tuple[NDArray[Any], tuple[str, ...]] | None:
    """Return features [N, D] and names [N] of a parquet file with a column of image names; None without one.

    Raises DataError for a missing value, and for a feature value that is not a number.
    """
    table = _open_parquet(path)
    where, names = shown(path), [str(name) for name in table.column_names]
    place = find_column(where, names, IMAGE_NAMES)
    if place is None:
        return None
    kinds = [_kind(table.schema.field(column).type) for column in range(len(names))]
    others = [column for column in range(len(names)) if column != place]
    columns = tuple(_list_columns(where, names, kinds)) or _numbered(where, names, others)
    if kinds[place] != "text" or not columns:
        lacking = f"{shown(names[place])} must contain strings" if columns else "no column `features`, or f0, f1, ..."
        raise DataError(f"{where}: {lacking}; the file has: {first_names(names)}")
    _refuse_missing(where, table, names, (place, *columns))
    if strange := [column for column in columns if kinds[column] not in ("number", "list")]:
        raise DataError(f"{where}: {shown(names[strange[0]])} must contain numbers")
    return _parquet_features(where, table, names, columns), tuple(table.column(place).to_pylist())


def _open_parquet(path: Path) -> Any:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            f"{shown(path)}: parquet requires the extra `data` (pyarrow is missing): pip install 'reidbench[data]'"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups))
        if size > 2 * memory_limit():
            raise MemoryError(f"its {size} bytes exceed half of this machine's memory")
        return file.read(use_threads=False)
    except Exception as error:  # noqa: BLE001 - pyarrow raises many types for a damaged file
        reason = shown((str(error).strip() or type(error).__name__).splitlines()[0])
        raise DataError(f"{shown(path)}: truncated or damaged parquet file ({reason})") from None


def _parquet_rows(path: Path, table: Any, camera: bool, needs: Collection[str]) -> Rows:
    where, names = shown(path), [str(name) for name in table.column_names]
    kinds = [_kind(table.schema.field(place).type) for place in range(len(names))]
    lists = _list_columns(where, names, kinds)
    numeric = [kind == "number" or place in lists for place, kind in enumerate(kinds)]
    header = _header(where, names, numeric, camera, needs)
    columns = (lists[0],) if lists else header.features
    if strange := [place for place in columns if not numeric[place]]:
        kind = table.schema.field(strange[0]).type
        raise DataError(f"{where}: {shown(names[strange[0]])} must contain numbers, not {kind}; save it as float")
    taken = {header.part, header.pid, header.camid, *columns}
    _refuse_missing(where, table, names, sorted(place for place in taken if place is not None))
    parts = [
        part_of(f"{where}: row {row}", str(part)) for row, part in enumerate(table.column(header.part).to_pylist())
    ]
    kept = [part != "train" for part in parts]
    pids = _parquet_labels(where, table, names, header.pid)
    camids = None if header.camid is None else _parquet_labels(where, table, names, header.camid)
    features = _parquet_features(where, table, names, columns)
    return Rows(
        features[kept],
        list(compress(parts, kept)),
        list(compress(pids, kept)),
        None if camids is None else list(compress(camids, kept)),
        [pid for pid, keep in zip(pids, kept, strict=True) if not keep],
        () if lists else header.warnings,
        more={
            word: list(compress(_parquet_labels(where, table, names, place, unknown=True), kept))
            for word, place in header.more.items()
        },
    )


def _refuse_missing(where: str, table: Any, names: Sequence[str], places: Sequence[int]) -> None:
    """Raise DataError for the first empty cell of these columns."""
    for place in places:
        if table.column(place).null_count:
            row = table.column(place).is_null().to_pylist().index(True)
            raise DataError(f"{where}: row {row}: {shown(names[place])} is missing")


def _list_columns(where: str, names: Sequence[str], kinds: Sequence[str]) -> list[int]:
    """Return the column whose cells are complete features, if any."""
    wanted = {plain(name) for name in NOUNS["features"]}
    found = [place for place, kind in enumerate(kinds) if kind == "list" and plain(names[place]) in wanted]
    others = [name for name in names if _NUMBERED.fullmatch(name)]
    if len(found) > 1 or (found and others):
        both = [*(names[place] for place in found), *others][:2]
        raise DataError(f"{where}: {' and '.join(map(shown, both))} may both be the feature; remove one of them")
    return found


def _kind(given: Any) -> str:
    types: Any = importlib.import_module("pyarrow.types")
    tests: dict[str, Callable[[Any], bool]] = {
        "number": lambda kind: types.is_integer(kind) or types.is_floating(kind),
        "text": lambda kind: types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind),
        "list": lambda kind: types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind),
    }
    return next((name for name, test in tests.items() if test(given)), "other")


def _parquet_labels(where: str, table: Any, names: Sequence[str], place: int, *, unknown: bool = False) -> list[str]:
    """Return labels as strings. With `unknown`, a missing label becomes ""."""
    given = table.schema.field(place).type
    kind = _kind(given)
    if kind not in ("number", "text"):
        raise DataError(f"{where}: {shown(names[place])} must contain whole numbers or strings, not {given}")
    found = []
    for row, value in enumerate(table.column(place).to_pylist()):
        if unknown and (value in (None, "") or value != value):  # NaN is not equal to itself
            found.append("")
            continue
        if isinstance(value, float) and not value.is_integer():
            raise DataError(f"{where}: row {row}: {shown(names[place])} {value} is not a whole number")
        if isinstance(value, float) and abs(value) >= (largest := EXACT.get(given.bit_width, EXACT[64])):
            raise DataError(
                f"{where}: row {row}: {shown(names[place])} {value:.0f} may be rounded: {given} holds whole numbers "
                f"exactly only below {largest:.0f}; save them as integers or text"
            )
        text = str(int(value)) if isinstance(value, float) else str(value)
        found.append(label_of(f"{where}: row {row}", names[place], text))
    return found


def _parquet_features(where: str, table: Any, names: Sequence[str], places: Sequence[int]) -> NDArray[Any]:
    """Return features [N, D] from numeric columns, or from one column of lists of equal length."""
    if _kind(table.schema.field(places[0]).type) == "list":
        found = _lists(where, shown(names[places[0]]), table.column(places[0]))
    else:
        found = np.stack([table.column(place).to_numpy() for place in places], axis=1)
    finite = np.isfinite(found).all(1)
    if not finite.all():
        raise DataError(f"{where}: row {int(np.argmin(finite))}: the feature has NaN or infinity")
    return found


def _lists(where: str, name: str, column: Any) -> NDArray[Any]:
    compute = importlib.import_module("pyarrow.compute")
    lengths = compute.list_value_length(column).to_numpy()
    wrong = np.flatnonzero((lengths != lengths[:1]) | (lengths == 0))
    if len(wrong):
        few = f"{lengths[wrong[0]]} numbers but row 0 has {lengths[0]}"
        raise DataError(f"{where}: row {wrong[0]}: {name} has {few}; every image needs a feature of the same length")
    values = compute.list_flatten(column)
    if _kind(values.type) != "number" or values.null_count:
        what = "a missing number" if _kind(values.type) == "number" else f"lists of {values.type}"
        raise DataError(f"{where}: {name} has {what}; it must contain lists of numbers")
    found: NDArray[Any] = values.to_numpy().reshape(len(lengths), -1) if len(lengths) else np.zeros((0, 0))
    return found
