"""Shared steps of all readers: find the folder, unpack archives, fingerprint the content, compare the counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reidbench import Params
from reidbench.data import (
    Dataset,
    Published,
    Split,
    fingerprint_file,
    fingerprint_folder,
    is_archive,
    is_stand_in,
    judge,
    need_folder,
    unpack,
)
from reidbench.data.layouts.archives import inner_folder
from reidbench.data.walk import walk_images
from reidbench.errors import DataError
from reidbench.files.names import shown

from .counts import PUBLISHED
from .params import CheckedParams


def place(root: Path, cache: Path, *inside: str) -> Path:
    """Return the folder to read: unpacks an archive, and accepts the parent of one of the folders `inside`.

    Raises DataError if nothing exists.
    """
    root = Path(root)
    if is_archive(root):
        root = inner_folder(unpack(root, cache))
    elif not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return inner(root, inside)


def inner(root: Path, inside: Sequence[str]) -> Path:
    """Return the first existing folder of `inside`, otherwise the root."""
    return next((root / name for name in inside if (root / name).is_dir()), root)


def need_picture(root: Path) -> None:
    """Raise DataError if a folder and its subfolders contain no image."""
    if next(walk_images(root), None) is None:
        raise DataError(f"{shown(root)}: contains no images")


def finish(dataset: Dataset, params: CheckedParams, variant: str, published: Published | None = None) -> Dataset:
    """Return the data set under its full name, compared with the published counts as `params.check` says.

    The counts are those of the variant, unless others are given. A stand-in is noted but not compared, since its counts
    need not be the published ones.
    """
    named = replace(dataset, name=variant, published=published or PUBLISHED.get(variant))
    return named if is_stand_in(named.root) else judge(named, params.check)


def fingerprint_parts(
    params: Params,
    root: Path,
    *folders: str,
    files: Sequence[str] = (),
    inside: Sequence[str] = (),
    check: Callable[[Path], None] = lambda root: None,
) -> str:
    """Return names and contents of these folders and files of the root, or of all of it, and the relevant params.

    An archive is identified by its content, so its key differs from that of the unpacked folder. A wrong root is found
    here, before anything runs: raises DataError if one of `folders` is missing, and the errors of `check`.
    """
    root = Path(root)
    if is_archive(root):
        return f"{fingerprint_file(root)}{params_mark(params)}"
    root = inner(root, inside)
    check(root)
    for folder in folders:
        need_folder(root / folder)
    return fingerprint_folder(root, only=(*folders, *files)) + params_mark(params)


def params_mark(params: Params) -> str:
    """Return the params that differ from the default and affect what is read or refused, as text."""
    fields = type(params).model_fields
    changed = {name: value for name, value in params.model_dump().items() if value != fields[name].default}
    if changed.get("check") != "strict":
        changed.pop("check", None)
    changed.pop("accept_withdrawal", None)
    return f" {json.dumps(changed, sort_keys=True)}" if changed else ""


def sorted_split(root: Path, rows: list[tuple[str, int, int]]) -> Split:
    """Return a split of (path, pid, camid), sorted by path. Raises DataError if it is empty."""
    if not rows:
        raise DataError(f"{root}: a split has no image")
    paths, pids, camids = zip(*sorted(rows), strict=True)
    return Split.of_columns(root, paths, pids, camids)
