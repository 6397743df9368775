"""Externally computed features of a data set's images, from files of any layout, by image name or by labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.placeholders import refuse_placeholder

from .featurefile import check_name, named_features, read_features
from .names import Keys
from .pids import Ints, array_of, mapped
from .sources import Source, matrix_of, open_source, read_npy
from .tables import named_table

SIDES = ("query", "gallery")


@dataclass(frozen=True)
class Block:
    """Features [N, D] of a file, with image names, labels, or both.

    `part` is query or gallery if all rows are of that part, otherwise empty. pids and camids are int64 [N]; -1 is an
    unknown camera. Without names the rows must be in the order of the data set.
    """

    path: Path
    part: str
    features: NDArray[Any]
    names: tuple[str, ...] | None = None
    pids: Ints | None = None
    camids: Ints | None = None


def read_blocks(path: Path, part: str = "") -> list[Block]:
    """Return the features of a file or folder; with `part`, only those of query or gallery.

    Raises DataError, with the file and a remedy, for missing, damaged or mistyped data.
    """
    found = [block for block in _blocks(path, part) if not part or block.part == part]
    if not found:
        raise DataError(f"{shown(path)}: contains no {part} features")
    return found


def _blocks(path: Path, part: str) -> list[Block]:
    if path.is_dir() and not _holds_arrays(path):
        return [_folder(path, part)]
    if not path.is_dir():
        check_name(path)
        refuse_placeholder(path)
    if path.suffix.lower() == ".parquet" and (table := named_table(path)):
        return [Block(path, part, *table)]
    source = open_source(path)  # None for a table
    if source is not None and (found := _arrays(source, part)):
        return found
    file = read_features(path, camera=False, use="features")
    if file.pid_texts:
        raise DataError(f"{shown(path)}: its pids are strings; without image names they must be the data set's numbers")
    return [
        Block(path, "query", _given(file.query_features), None, file.query_pids, file.query_camids),
        Block(path, "gallery", _given(file.gallery_features), None, file.gallery_pids, file.gallery_camids),
    ]


def _given(features: NDArray[Any] | None) -> NDArray[Any]:
    assert features is not None  # requested by `use`
    return features


# ------------------------------------------------------------------ arrays by key
def _arrays(source: Source, part: str) -> list[Block]:
    """Return the blocks of a file of named arrays with image names or a known part; [] for files read by labels."""
    keys = Keys.of(source.names)
    sided = [side for side in SIDES if {f"{side}_features", f"{side}_names"} <= keys.by_role.keys()]
    if len(sided) == len(SIDES):
        return [_named(source, keys, side, f"{side}_") for side in SIDES]
    if "features" in keys and "names" in keys:
        return [_named(source, keys, part, "")]
    if part and "features" in keys and "pids" in keys:
        return [_labelled(source, keys, part)]
    if "distances" in keys and "query_features" not in keys:
        raise DataError(f"{shown(source.path)}: contains distances, but a row of a matrix file requires features")
    return []


def _named(source: Source, keys: Keys, part: str, before: str) -> Block:
    found = named_features(source, keys, before)
    labels = _labels(source, keys, before, len(found.features))
    return Block(source.path, part, found.features, found.names, *labels)


def _labelled(source: Source, keys: Keys, part: str) -> Block:
    features = matrix_of(source, keys, "features")
    return Block(source.path, part, features, None, *_labels(source, keys, "", len(features)))


def _labels(source: Source, keys: Keys, before: str, count: int) -> tuple[Ints | None, Ints | None]:
    """Return pids and camids of the rows, each None if the file has none or has strings, which cannot be compared."""
    found: list[Ints | None] = []
    for role in (f"{before}pids", f"{before}camids"):
        name = keys.first(role)
        known = mapped(source.path, {name: source.read(name)}) if role in keys else None
        values = None if known is None or known.texts else known.values[name]
        if values is not None and len(values) != count:
            raise DataError(f"{shown(source.path)}: {shown(name)} has {len(values)} entries for {count} features")
        found.append(values)
    return found[0], found[1]


# ------------------------------------------------------------------ a folder of one file per image
def _holds_arrays(folder: Path) -> bool:
    """Return whether a folder's files are named after arrays, as in `query_features.npy`, not after images."""
    keys = Keys.of(file.stem for file in folder.glob("*.npy"))
    both = {f"{side}_features" for side in SIDES} <= keys.by_role.keys()
    return both or ("features" in keys and ("names" in keys or "pids" in keys)) or "distances" in keys


def _folder(folder: Path, part: str) -> Block:
    """Read a folder of .npy files, one feature per image, named like the images with or without extension."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.npy") if file.is_file())
    if not names:
        raise DataError(f"{shown(folder)}: this folder has no .npy files; save one per image, named like the image")
    rows = [_vector(folder, name) for name in names]
    if wrong := [name for name, row in zip(names, rows, strict=True) if row.shape != rows[0].shape]:
        raise DataError(
            f"{shown(folder / wrong[0])}: has a different number of values than {shown(names[0])}; every image needs "
            "a feature of the same length"
        )
    return Block(folder, part, np.stack(rows), tuple(name.removesuffix(".npy") for name in names))


def _vector(folder: Path, name: str) -> NDArray[Any]:
    value = array_of(folder, name, read_npy(folder, name))
    if value.dtype.kind not in "fiu" or value.size != max(value.shape, default=0) or not value.size:
        raise DataError(f"{shown(folder / name)}: must be one vector of real numbers, not {value.dtype} {value.shape}")
    return value.ravel()


def all_blocks(files: Mapping[str, Path]) -> Iterator[Block]:
    """Yield the features of files by part, or of one file under "" for all. Raises DataError if lengths differ."""
    lengths: dict[int, Path] = {}
    for part, path in files.items():
        for block in read_blocks(path, part):
            lengths.setdefault(block.features.shape[1], path)
            yield block
    if len(lengths) > 1:
        (one, where), (other, there) = list(lengths.items())[:2]
        raise DataError(
            f"{shown(there)}: features have {other} dimensions, but {one} in {shown(where)}; query and gallery must "
            "come from the same network"
        )
