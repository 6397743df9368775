"""What all readers do before and after reading: find the folder, unpack, name the content, compare the counts."""

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
    """The folder to read: an archive is unpacked, and one of the folders `inside` may be meant by its parent.

    Raises DataError where there is nothing.
    """
    root = Path(root)
    if is_archive(root):
        root = inner_folder(unpack(root, cache))
    elif not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return inner(root, inside)


def inner(root: Path, inside: Sequence[str]) -> Path:
    """The first of the folders `inside` that is there, else the root itself."""
    return next((root / name for name in inside if (root / name).is_dir()), root)


def need_picture(root: Path) -> None:
    """Raise DataError where no picture lies in a folder or below."""
    if next(walk_images(root), None) is None:
        raise DataError(f"{shown(root)}: no picture in it")


def finish(dataset: Dataset, params: CheckedParams, variant: str, published: Published | None = None) -> Dataset:
    """The data set under its full name, judged against the published counts as `params.check` says.

    The counts are those of the variant, unless others are given. A stand-in is not judged: that it is one is noted, and
    its counts need not be the published ones.
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
    """Names and contents of these folders and files of the root, or of all of it, and the params that matter.

    An archive goes by its content, so it has another key than the folder that it unpacks to. A wrong root is found
    here, before anything is run: raises DataError where one of `folders` is not there, and what `check` raises.
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
    """The params that are not the default and change what is read or refused, as text."""
    fields = type(params).model_fields
    changed = {name: value for name, value in params.model_dump().items() if value != fields[name].default}
    if changed.get("check") != "strict":
        changed.pop("check", None)
    changed.pop("accept_withdrawal", None)
    return f" {json.dumps(changed, sort_keys=True)}" if changed else ""


def sorted_split(root: Path, rows: list[tuple[str, int, int]]) -> Split:
    """A split of (path, pid, camid), ordered by path. Raises DataError where there is none."""
    if not rows:
        raise DataError(f"{root}: a split without a picture")
    paths, pids, camids = zip(*sorted(rows), strict=True)
    return Split.of_columns(root, paths, pids, camids)
