"""Put a service together: embed the gallery, build its index, and describe both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reidbench.data import UNKNOWN_CAMERA, Split
from reidbench.data.walk import first_names
from reidbench.errors import ReidbenchError
from reidbench.export.features import Named, Networks
from reidbench.files.names import shown
from reidbench.retrieval.gallery import embedded, of_one_modality, open_features

from .answers import About
from .gallery import Gallery
from .index import Index, Kind
from .limits import Limits
from .service import Service

if TYPE_CHECKING:
    from reidbench.matrix.stage import Row

BLACK = np.zeros((8, 8, 3), np.uint8)


@dataclass(frozen=True)
class Choices:
    """Choices of the command: folder and names of the gallery, kind of index, limits, and modalities if needed.

    `features` is a file of the gallery's features that `embed` wrote; without it the gallery is embedded.
    """

    folder: Path
    names: list[str]
    index: Kind
    limits: Limits
    modality: str | None = None
    gallery_modality: str | None = None
    features: Path | None = None


def assemble(
    choices: Choices, networks: Networks, row: Row | None, progress: Callable[[int, int], None]
) -> tuple[Service, tuple[str, ...]]:
    """Return the service, and notes on images that are left out. Raises ReidbenchError as `search` does."""
    if choices.gallery_modality and not choices.modality:
        raise ReidbenchError("--gallery-modality requires --modality, that of the uploaded images")
    networks.of_pixels(BLACK, choices.modality)  # reports a missing modality now, not at the first upload
    named = _embedded(choices, networks, progress) if choices.features is None else _read(choices, networks)
    index = Index(named, choices.index)
    about = _about(index, networks, row, choices.limits)
    gallery = Gallery(choices.folder, named.names)
    service = Service(
        gallery, index, lambda pixels: networks.of_pixels(pixels, choices.modality), about, choices.limits
    )
    return service, named.notes


def _embedded(choices: Choices, networks: Networks, progress: Callable[[int, int], None]) -> Named:
    unknown = np.full(len(choices.names), UNKNOWN_CAMERA)
    split = Split.of_columns(choices.folder, choices.names, unknown, unknown)
    named = of_one_modality(split, choices.gallery_modality, choices.modality)
    assert isinstance(named, Split)  # of images, not of a feature file
    return networks.readable(named, progress=progress)


def _read(choices: Choices, networks: Networks) -> Named:
    """Return the features of a file for the gallery's images, which it names by any path that leads to them."""
    assert choices.features is not None
    source = of_one_modality(open_features(choices.features), choices.gallery_modality, choices.modality)
    found = embedded(source, networks)
    rows = {Path(name).resolve(): row for row, name in enumerate(found.names)}
    places = {name: rows.get((choices.folder / name).resolve()) for name in choices.names}
    there = {name: row for name, row in places.items() if row is not None}
    lacking = [name for name in choices.names if name not in there]
    where, which = shown(choices.features), f"{len(lacking)} images of {shown(choices.folder)}: {first_names(lacking)}"
    if not there:
        raise ReidbenchError(f"{where}: lacks all {which}; embed the folder again, from the same place")
    note = (f"{where}: lacks {which}; they are left out",) if lacking else ()
    return Named(list(there), found.features[list(there.values())], note)


def _about(index: Index, networks: Networks, row: Row | None, limits: Limits) -> About:
    named = {} if row is None else {"row": row.method, "task": row.task, "seed": row.seed, "protocol": row.protocol}
    return About(
        network=networks.name,
        keys=[member.artifact.key for member in networks.members],
        images=len(index),
        dimensions=index.features.shape[1],
        index=index.kind,
        exact=index.exact,
        most_results=limits.results,
        most_bytes=limits.upload,
        most_pixels=limits.pixels,
        **named,
    )
