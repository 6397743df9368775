"""Images of persons without labels: LUPerson (Fu et al., CVPR 2021) and any folder or lmdb of images.

Every pid is 0 and every camera unknown, so such a data set can only be a pool.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reidbench.data import UNKNOWN_CAMERA, Dataset, Split, fingerprint_file, is_archive, look_through
from reidbench.data.pictures.lmdbfile import data_file, image_keys, is_lmdb
from reidbench.data.split import DISTRACTOR
from reidbench.data.walk import first_names
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, need_picture, params_mark, place
from .params import CheckedParams, PoolParams

INSIDE = ("LUP/images", "images", "lmdb")  # known layouts of LUPerson copies


def open_luperson(params: CheckedParams, root: Path, cache: Path) -> Dataset:
    """Read LUPerson: a tree of images, or an lmdb with any keys."""
    root = Path(root)
    return finish(_pool("luperson", root if is_lmdb(root) else place(root, cache, *INSIDE)), params, "luperson")


def open_folder(params: PoolParams, root: Path, cache: Path) -> Dataset:
    """Read all images under a folder, or in an lmdb."""
    root = Path(root)
    return _pool(root.name, root if is_lmdb(root) else place(root, cache))


def _pool(name: str, root: Path) -> Dataset:
    notes: list[str] = []
    if is_lmdb(root):
        entries = list(image_keys(root))
        paths = [key for key, picture in entries if picture]
        others = [key for key, picture in entries if not picture]
        if others:
            notes = [f"{len(others)} entries of the lmdb are not images and were left out: {first_names(others)}"]
    else:
        tree = look_through(root)
        paths, notes = tree.images, tree.notes("pool")
    if not paths:
        raise DataError("; ".join([f"{root}: contains no images", *notes]))
    pids = np.full(len(paths), DISTRACTOR)
    split = Split.of_columns(root, paths, pids, np.full(len(paths), UNKNOWN_CAMERA))
    return Dataset(name, root, split, notes=tuple(notes))


def _need_pool(root: Path) -> None:
    if (root / "lock.mdb").is_file():  # data.mdb is missing, otherwise this would be read as an lmdb
        raise DataError(f"{root}: lmdb without data.mdb")
    need_picture(root)


def fingerprint_luperson(params: CheckedParams, root: Path) -> str:
    """Return `fingerprint` of the folder that is read."""
    root = Path(root)
    inside = None if is_lmdb(root) or is_archive(root) else next((n for n in INSIDE if (root / n).is_dir()), None)
    return fingerprint(params, root / inside if inside else root)


def fingerprint(params: PoolParams | CheckedParams, root: Path) -> str:
    """Return names and contents of the images; for an lmdb the content of its data file, which is hashed once.

    Raises DataError if there are none.
    """
    root = Path(root)
    if not is_lmdb(root):
        return fingerprint_parts(params, root, check=_need_pool)
    return f"{fingerprint_file(data_file(root))}{params_mark(params)}"
