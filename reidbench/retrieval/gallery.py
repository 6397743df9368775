"""Galleries to search: images of a folder or of a manifest's gallery, or a feature file written by `embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reidbench.data import Split, read_manifest
from reidbench.data.pictures.images import ENDINGS
from reidbench.errors import DataError, ReidbenchError
from reidbench.export.features import MANIFEST, Named, Networks, of_modality, paths_of, pictures, split_of
from reidbench.files.names import shown
from reidbench.scoring.sources import Source, open_source

FEATURES = (".npz", ".mat")
FORMS = "a folder of images, a manifest (.csv), or an .npz or .mat written by `reidbench embed`"


def open_gallery(place: Path) -> Split | Source:
    """Return the images or the feature file at a path. Raises ReidbenchError if it is neither."""
    if place.is_dir():
        return split_of(pictures([place]))
    if not place.is_file():
        raise ReidbenchError(f"{shown(place)}: no such gallery; give {FORMS}")
    suffix = place.suffix.lower()
    if suffix == MANIFEST:
        return _listed(place)
    if suffix in ENDINGS:
        raise ReidbenchError(f"{shown(place)}: this is an image; give the gallery ({FORMS}) before the queries")
    source = open_source(place) if suffix in FEATURES else None
    if source is None:
        raise ReidbenchError(f"{shown(place)}: unknown type of gallery; give {FORMS}")
    return source


def open_features(file: Path) -> Source:
    """Return a feature file written by `embed`. Raises ReidbenchError if it is not one."""
    source = open_source(file) if file.is_file() and file.suffix.lower() in FEATURES else None
    if source is None:
        raise ReidbenchError(f"{shown(file)}: not a feature file; give an .npz or .mat written by `reidbench embed`")
    return source


def of_one_modality(gallery: Split | Source, own: str | None, of_queries: str | None) -> Split | Source:
    """Return the gallery with modality `own`, or with that of the queries if the images have none.

    Raises ReidbenchError if `own` is given for images with modality labels, or for features.
    """
    if not isinstance(gallery, Split):
        if own:
            raise ReidbenchError(f"{shown(gallery.path)}: its features are already computed; remove --gallery-modality")
        return gallery
    if own is None and gallery.modality is not None:
        return gallery
    return of_modality(gallery, own or of_queries, "the gallery images", "--gallery-modality")


def embedded(gallery: Split | Source, networks: Networks) -> Named:
    """Return names and features of a gallery. Raises DataError for features of a network other than the queries'."""
    return networks.readable(gallery) if isinstance(gallery, Split) else _read(gallery, networks)


def _listed(manifest: Path) -> Split:
    """Return the gallery of a manifest, or all its images if it has no query and gallery."""
    dataset = read_manifest(manifest)
    found = dataset.train if dataset.gallery is None else dataset.gallery
    return Split.of_columns(Path(), paths_of(found), found.pids, found.camids, more=found.more)


def _read(source: Source, networks: Networks) -> Named:
    part = "gallery_" if "gallery_features" in source.names else ""
    lacking = [name for name in (f"{part}features", f"{part}names", "network") if name not in source.names]
    if lacking:
        has = ", ".join(map(shown, source.names)) or "nothing"
        raise DataError(
            f"{shown(source.path)}: missing {', '.join(lacking)} (the file has: {has}); write it with `reidbench embed`"
        )
    features, names = np.asarray(source.read(f"{part}features")), np.ravel(source.read(f"{part}names"))
    _check(source.path, features, names)
    made_by = "".join(map(str, np.ravel(source.read("network"))[:1]))
    if made_by != networks.identity:
        raise DataError(
            f"{shown(source.path)}: its features are from a different network ({shown(made_by)}) from the queries' "
            f"({networks.identity}); embed the gallery again, or use the same network"
        )
    return Named(names.tolist(), features)


def _check(file: Path, features: np.ndarray[Any, Any], names: np.ndarray[Any, Any]) -> None:
    if features.ndim != 2 or features.dtype.kind != "f" or names.dtype.kind != "U" or len(names) != len(features):
        raise DataError(
            f"{shown(file)}: features of shape {features.shape} ({features.dtype}) and names of shape {names.shape} "
            f"({names.dtype}) do not match; embed the gallery again"
        )
    if not len(names):
        raise DataError(f"{shown(file)}: contains no images")
