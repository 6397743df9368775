"""What is searched: the pictures of a folder or of a manifest's gallery, or a file of features that `embed` wrote."""

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

FORMS = "a folder of pictures, a manifest (.csv), or an .npz or .mat that `reidbench embed` wrote"


def open_gallery(place: Path) -> Split | Source:
    """The pictures, or the file of features, that a name means. Raises ReidbenchError for what is neither."""
    if place.is_dir():
        return split_of(pictures([place]))
    if not place.is_file():
        raise ReidbenchError(f"{shown(place)}: no such gallery; it is {FORMS}")
    suffix = place.suffix.lower()
    if suffix == MANIFEST:
        return _listed(place)
    if suffix in ENDINGS:
        raise ReidbenchError(f"{shown(place)}: is a picture; the gallery, {FORMS}, comes before the queries")
    source = open_source(place) if suffix in (".npz", ".mat") else None
    if source is None:
        raise ReidbenchError(f"{shown(place)}: no gallery by its name; it is {FORMS}")
    return source


def of_one_modality(gallery: Split | Source, own: str | None, of_queries: str | None) -> Split | Source:
    """The gallery, its pictures being of the modality `own`, or of that of the queries where they have none.

    Raises ReidbenchError for an `own` modality of pictures that have a column of their own, or of features.
    """
    if not isinstance(gallery, Split):
        if own:
            raise ReidbenchError(
                f"{shown(gallery.path)}: its features are computed already: leave --gallery-modality out"
            )
        return gallery
    if own is None and gallery.modality is not None:
        return gallery
    return of_modality(gallery, own or of_queries, "the gallery's pictures", "--gallery-modality")


def embedded(gallery: Split | Source, networks: Networks) -> Named:
    """Names and features of a gallery. Raises DataError for features of other networks than the queries'."""
    return networks.readable(gallery) if isinstance(gallery, Split) else _read(gallery, networks)


def _listed(manifest: Path) -> Split:
    """The gallery of a manifest, or the pictures of one that has no query and gallery."""
    dataset = read_manifest(manifest)
    found = dataset.train if dataset.gallery is None else dataset.gallery
    return Split.of_columns(Path(), paths_of(found), found.pids, found.camids, more=found.more)


def _read(source: Source, networks: Networks) -> Named:
    part = "gallery_" if "gallery_features" in source.names else ""
    lacking = [name for name in (f"{part}features", f"{part}names", "network") if name not in source.names]
    if lacking:
        has = ", ".join(map(shown, source.names)) or "nothing"
        raise DataError(
            f"{shown(source.path)}: missing {', '.join(lacking)}; the file has: {has}; `reidbench embed` writes them"
        )
    features, names = np.asarray(source.read(f"{part}features")), np.ravel(source.read(f"{part}names"))
    _check(source.path, features, names)
    made_by = "".join(map(str, np.ravel(source.read("network"))[:1]))
    if made_by != networks.identity:
        raise DataError(
            f"{shown(source.path)}: its features are of another network ({shown(made_by)}) than the queries' would be "
            f"({networks.identity}): embed the gallery again, or name the same network"
        )
    return Named(names.tolist(), features)


def _check(file: Path, features: np.ndarray[Any, Any], names: np.ndarray[Any, Any]) -> None:
    if features.ndim != 2 or features.dtype.kind != "f" or names.dtype.kind != "U" or len(names) != len(features):
        raise DataError(
            f"{shown(file)}: features of shape {features.shape} ({features.dtype}) and names of shape {names.shape} "
            f"({names.dtype}) do not belong together: embed the gallery again"
        )
    if not len(names):
        raise DataError(f"{shown(file)}: no picture in it")
