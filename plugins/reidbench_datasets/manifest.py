"""Data sets described by a CSV manifest; `root` is the file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from reidbench.data import UNKNOWN_CAMERA, Dataset, fingerprint_file, fingerprint_paths, read_manifest
from reidbench.data.fingerprints.fingerprint import reading
from reidbench.errors import DataError
from reidbench.files.names import shown

from .params import ManifestParams


def _images(params: ManifestParams, file: Path) -> Path:
    """Return the base folder of the images; as in `reidbench data manifest`, links are not resolved before `..`.

    Raises DataError if the folder is missing.
    """
    folder = Path(os.path.abspath(file.parent / _at_home(params.images)))  # noqa: PTH100 - Path.resolve follows links
    if not folder.is_dir():
        raise DataError(f"{shown(file)}: images: {shown(folder)}: no such folder")
    return folder


def _at_home(images: str) -> Path:
    try:
        return Path(images).expanduser()
    except RuntimeError:
        raise DataError(f"images: {shown(images)}: no home folder for `~`; give an absolute path") from None


def open_manifest(params: ManifestParams, root: Path, cache: Path) -> Dataset:
    """Read the manifest `root`. Raises DataError with the first missing images."""
    dataset = read_manifest(root, root=_images(params, root))
    paths = [path for split in dataset.parts().values() for path in split.paths]
    with reading(dataset.root):
        missing = [path for path in paths if not (dataset.root / path).is_file()]
    if missing:
        cure = "; write paths with /, not \\" if any("\\" in path for path in missing) else ""
        first = ", ".join(map(shown, missing[:3]))
        count = f"{len(missing)} of {len(paths)} images are missing in {shown(dataset.root)}"
        raise DataError(f"{shown(root)}: {count}, first {first}{cure}")
    return dataset


def fingerprint(params: ManifestParams, root: Path) -> str:
    """Return the content of the manifest, and of each image that it lists."""
    images = _images(params, root)
    dataset = read_manifest(root, root=images)
    paths = dict.fromkeys(path for split in dataset.parts().values() for path in split.paths)
    return f"{fingerprint_file(root)} {fingerprint_paths(images, paths)}"


def lacking(params: ManifestParams, root: Path | None) -> frozenset[str]:
    """Return the labels that the manifest lacks: cameras, train persons, query and gallery, labels beyond identity."""
    if root is None:
        return frozenset()
    dataset = read_manifest(root, root=_images(params, root))
    parts = dataset.parts()
    camids = np.concatenate([split.camids for split in parts.values()])
    found = {
        "cameras": len(np.unique(camids[camids != UNKNOWN_CAMERA])) < 2,
        "labels": not (dataset.train.pids > 0).any(),
        "train": len(dataset.train) == 0,
        "test": "query" not in parts,
    }
    return dataset.unlabelled() | {word for word, missing in found.items() if missing}
