"""Translated images without training: a released folder."""

from __future__ import annotations

import numpy as np

from reidbench import PrepareContext
from reidbench.data.pictures.images import resize
from reidbench.errors import DataError

from .files import write_translations
from .params import TranslatedFolderParams


def translated_folder(ctx: PrepareContext[TranslatedFolderParams]) -> None:
    """Copy the images of a folder to opaque names, at the benchmark's size and without further loss (PNG).

    Raises DataError if files are missing.
    """
    params = ctx.params
    released = ctx.split.sidecar(params.folder, params.pattern)
    missing = len(released.missing())
    if missing:
        raise DataError(
            f"{params.folder}: {missing} of {len(released)} files {params.pattern} are missing; set folder to the "
            "source's training images in the target's style, and pattern to their names"
        )

    def make(indices: np.ndarray) -> np.ndarray:
        return np.array([resize(released.image(index), ctx.image_size) for index in indices.tolist()])

    write_translations(ctx, make, ctx.image_size, quality=None)
