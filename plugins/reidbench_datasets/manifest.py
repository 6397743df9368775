"""Data sets described by a CSV manifest; `root` is the file."""

from __future__ import annotations

from pathlib import Path

from reidbench.data import Dataset, fingerprint_content, fingerprint_files, read_manifest
from reidbench.data.names import shown
from reidbench.errors import DataError

from .params import ManifestParams


def _images(params: ManifestParams, file: Path) -> Path:
    return (file.parent / params.images).resolve()


def open_manifest(params: ManifestParams, root: Path, cache: Path) -> Dataset:
    """Read the manifest `root`. Raises DataError naming the first images that are not there."""
    dataset = read_manifest(root, root=_images(params, root))
    paths = [path for split in dataset.parts().values() for path in split.paths]
    missing = [path for path in paths if not (dataset.root / path).is_file()]
    if missing:
        cure = "; write paths with /, not \\" if any("\\" in path for path in missing) else ""
        first = ", ".join(map(shown, missing[:3]))
        raise DataError(f"{shown(root)}: {len(missing)} of {len(paths)} images are not there, first {first}{cure}")
    return dataset


def fingerprint(params: ManifestParams, root: Path) -> str:
    """The manifest's content, and the size of each image that it names."""
    images = _images(params, root)
    dataset = read_manifest(root, root=images)
    paths = {path for split in dataset.parts().values() for path in split.paths}
    sizes = [(path, (images / path).stat().st_size if (images / path).is_file() else -1) for path in paths]
    return f"{fingerprint_content(root)} {fingerprint_files(sizes)}"
