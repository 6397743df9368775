"""Folders of translated images, named by the content of the source image, and read with the source's labels.

A preparer gets source images without names, in an uninformative order; the bytes of an image join it to its
translation, also if a stage uses only some of the source images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from reidbench import PrepareContext
from reidbench.data import Split
from reidbench.data.pictures.images import read_image, resize
from reidbench.data.pictures.opaque import Stored, opaque_names
from reidbench.errors import DataError
from reidbench.rendering.sheets import contact_sheet

from .params import TranslationParams

FOLDER = "images"
SHEET = "contact-sheet.png"
CHUNK = 64  # images per chunk
SUFFIXES = ("jpg", "png")

# (indices [n]) -> pixels uint8 [n, H, W, 3]
Make = Callable[[np.ndarray], np.ndarray]


def write_translations(
    ctx: PrepareContext[TranslationParams], make: Make, size: tuple[int, int], *, quality: int | None
) -> None:
    """Write `images/<name>.jpg` for every image of the split, without chroma subsampling, and the contact sheet.

    With `quality` None files are PNG. `size` is that of the pictures on the sheet.
    """
    folder = ctx.out / FOLDER
    folder.mkdir()
    names = _names(ctx.split)
    suffix = SUFFIXES[quality is None]
    options: dict[str, Any] = {} if quality is None else {"quality": quality, "subsampling": 0}
    for start in range(0, len(names), CHUNK):
        indices = np.arange(start, min(start + CHUNK, len(names)))
        for index, picture in zip(indices.tolist(), make(indices), strict=True):
            Image.fromarray(picture).save(folder / f"{names[index]}.{suffix}", **options)
        ctx.progress(int(indices[-1]) + 1, len(names))
    _write_sheet(ctx, [folder / f"{name}.{suffix}" for name in names[: ctx.params.sheet]], size)


def _write_sheet(ctx: PrepareContext[TranslationParams], files: list[Path], size: tuple[int, int]) -> None:
    """Rows: the first images of the split; columns: the image, its translation, and some image of the target."""
    rows = []
    for index, file in enumerate(files):
        shown = [ctx.split.image(index), read_image(file)]
        shown += [ctx.target.image(index % len(ctx.target))] if ctx.target is not None else []
        rows.append([resize(picture, size) for picture in shown])
    contact_sheet(rows, ["source", "translated", "target"][: len(rows[0])]).save(ctx.out / SHEET)


def translated_split(folder: Path, source: Split) -> Split:
    """Return the translations of the source's images with the source's labels, in its order.

    Raises DataError if the folder lacks some.
    """
    known = {file.stem: file.name for file in (folder / FOLDER).iterdir()}
    names = _names(source)
    missing = sum(name not in known for name in names)
    if missing:
        raise DataError(
            f"{folder}: {missing} of {len(names)} source images have no translation: were they changed since? Run "
            "`reidbench clean` and translate them again"
        )
    files = [f"{FOLDER}/{known[name]}" for name in names]
    columns = source.pids, source.camids, source.domains, source.times
    return Split.of_columns(folder, files, *columns, more=source.more)


def _names(images: Stored) -> list[str]:
    """Name each image [N] by its bytes; identical images get numbered names."""
    return [PurePath(name).stem for name in opaque_names(images, 0)]
