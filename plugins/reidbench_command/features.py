"""Features written by a program, one row per name, sorted into the order of the given images."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from reidbench.errors import DataError
from reidbench.files.names import shown

NPZ, CSV = "features.npz", "features.csv"


def read_features(folder: Path, names: Sequence[str]) -> np.ndarray:
    """Read features [N, D] float32 of the named images from `features.npz` or `features.csv` in a folder.

    Raises DataError for an invalid file, for missing, duplicate or unknown images, and for features that are not
    finite.
    """
    files = [name for name in (NPZ, CSV) if (folder / name).is_file()]
    if len(files) != 1:
        what = "both" if files else "neither"
        raise DataError(f"extract must write {NPZ} or {CSV} into {{out}}, but wrote {what}")
    own, features = (_read_npz if files[0] == NPZ else _read_csv)(folder / files[0])
    rows = _rows(own, names)
    with np.errstate(over="ignore"):
        found = features[rows].astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(found).all(1))
    if len(bad):
        raise DataError(
            f"extract wrote features that are not finite for {len(bad)} of {len(names)} images, first {names[bad[0]]}"
        )
    return found


def _read_npz(file: Path) -> tuple[list[str], np.ndarray]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            features, names = arrays["features"], arrays["names"]
    except KeyError as error:
        raise DataError(f"extract wrote {NPZ} without the array {error.args[0].split()[0]}") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise DataError(f"extract wrote an unreadable {NPZ}: {shown(str(error))}") from None
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(f"extract must write names as a list of strings, but wrote {names.dtype} {list(names.shape)}")
    real = np.issubdtype(features.dtype, np.integer) or np.issubdtype(features.dtype, np.floating)
    if features.ndim != 2 or len(features) != len(names) or not features.shape[1] or not real:
        shape = f"{features.dtype} {list(features.shape)}"
        raise DataError(f"extract must write features [{len(names)}, D] for {len(names)} names, but wrote {shape}")
    texts = np.char.decode(names, "utf-8", "replace") if names.dtype.kind == "S" else names
    return texts.tolist(), features


def _read_csv(file: Path) -> tuple[list[str], np.ndarray]:
    names: list[str] = []
    rows: list[np.ndarray] = []
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream)
            for cells in reader:
                if cells and not (reader.line_num == 1 and cells[0] == "name"):
                    names.append(cells[0])
                    rows.append(np.array(cells[1:], dtype=np.float64))
                if rows and (len(rows[-1]) != len(rows[0]) or not len(rows[0])):
                    counts = f"{len(rows[-1])} numbers, but the first row has {len(rows[0])}"
                    raise DataError(f"extract wrote {CSV}: line {reader.line_num} has {counts}")
    except (ValueError, csv.Error) as error:
        raise DataError(f"extract wrote {CSV}: line {reader.line_num} is invalid: {shown(str(error))}") from None
    return names, np.stack(rows) if rows else np.empty((0, 1))


def _rows(own: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the row of each image. A row's name may include folders, and may omit the file extension."""
    wanted = {name: name for name in names} | {PurePath(name).stem: name for name in names}
    place: dict[str, int] = {}
    for row, text in enumerate(own):
        name = wanted.get(PurePath(text).name)
        if name is None:
            raise DataError(f"extract wrote a row for {shown(text)!r}, which is not among the given images")
        if name in place:
            raise DataError(f"extract wrote {name} twice, in rows {place[name] + 1} and {row + 1}")
        place[name] = row
    missing = [name for name in names if name not in place]
    if missing:
        raise DataError(f"extract wrote no row for {len(missing)} of {len(names)} images, first {missing[0]}")
    return [place[name] for name in names]
