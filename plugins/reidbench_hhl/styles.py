"""Style folders: `<id>_fake_<k>` for every image and camera, a description, and a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from reidbench import PrepareContext
from reidbench.data import UNKNOWN_CAMERA, HiddenSplit
from reidbench.data.pictures.images import read_image, resize
from reidbench.errors import DataError
from reidbench.rendering.sheets import contact_sheet
from reidbench.training import image_source

from .params import StyleParams

DESCRIPTION = "styles.json"
SHEET = "contact-sheet.png"
CHUNK = 64  # images per chunk when fakes are made

# (indices [n]) -> pixels uint8 [n, styles, variants, H, W, 3]
Make = Callable[[np.ndarray], np.ndarray]


def known_cameras(split: HiddenSplit) -> list[int]:
    """Return the target's cameras in order, from 0. Raises DataError if no camera is known."""
    cameras = np.unique(split.camids[split.camids != UNKNOWN_CAMERA])
    if len(cameras) == 0:
        raise DataError(
            "no camera of these images is known, so no camera style can be transferred; set cameras "
            "in the data set, or use style: {use: self-style, copies: N}"
        )
    return [int(camera) for camera in cameras]


@dataclass(frozen=True)
class StyleSet:
    """Description of a style folder: `images` x `styles` x `variants` files with one suffix.

    `styles` are the k of the file names: camera numbers, from 1. Variants are interchangeable files of one image in one
    style.
    """

    images: int
    styles: tuple[int, ...]
    variants: int = 1
    suffix: str = "jpg"

    def file(self, image_id: str, style: int, variant: int = 0) -> str:
        """Return `<id>_fake_<k>.jpg`, or `<id>_fake_<k>_<number>.jpg` for further variants."""
        number = f"_{variant}" if variant else ""
        return f"{image_id}_fake_{style}{number}.{self.suffix}"

    def save(self, folder: Path) -> None:
        """Write the description, which is read before any other file of the folder."""
        (folder / DESCRIPTION).write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path, images: int) -> StyleSet:
        """Load the description of a folder for a target of `images`. Raises DataError if it describes other images."""
        file = folder / DESCRIPTION
        if not file.is_file():
            raise DataError(f"{folder}: not a style folder: {DESCRIPTION} is missing")
        values = json.loads(file.read_text())
        found = cls(values["images"], tuple(values["styles"]), values["variants"], values["suffix"])
        if found.images != images:
            raise DataError(f"{folder}: holds styles of {found.images} images, but the target has {images}")
        return found


def write_styles(
    ctx: PrepareContext[StyleParams], styles: Sequence[int], make: Make, *, variants: int = 1, quality: int | None = 95
) -> StyleSet:
    """Write all fakes from `make` to `ctx.out`, as JPEG without chroma subsampling, or as PNG if `quality` is None."""
    split = ctx.split
    described = StyleSet(len(split), tuple(styles), variants, "png" if quality is None else "jpg")
    options: dict[str, Any] = {} if quality is None else {"quality": quality, "subsampling": 0}
    ids = split.ids
    for start in range(0, len(split), CHUNK):
        indices = np.arange(start, min(start + CHUNK, len(split)))
        made = make(indices)
        expected = (len(indices), len(styles), variants)
        assert made.shape[:3] == expected, f"{made.shape[:3]} fakes instead of {expected}"
        for index, of_image in zip(indices, made, strict=True):
            for style, of_style in zip(styles, of_image, strict=True):
                for variant, picture in enumerate(of_style):
                    file = ctx.out / described.file(ids[index], style, variant)
                    Image.fromarray(picture).save(file, **options)
        ctx.progress(int(indices[-1]) + 1, len(split))
    described.save(ctx.out)
    _write_sheet(ctx, described)
    return described


def _write_sheet(ctx: PrepareContext[StyleParams], described: StyleSet) -> None:
    """Rows: the first images of the split; columns: the image, then its fakes as stored on disk."""
    count = min(ctx.params.sheet, len(ctx.split))
    rows = []
    for index in range(count):
        files = [ctx.out / described.file(ctx.split.ids[index], style) for style in described.styles]
        pictures = [read_image(file) for file in files]
        rows.append([resize(ctx.split.image(index), pictures[0].shape[:2]), *pictures])
    contact_sheet(rows, ["real", *map(str, described.styles)]).save(ctx.out / SHEET)


class Fakes:
    """The fakes of a style folder, read by the index of their image."""

    def __init__(self, folder: Path, target: HiddenSplit, size: tuple[int, int], workers: int = 0) -> None:
        self.set = StyleSet.load(folder, len(target))
        self.files = _Files(folder, target.ids, self.set)
        self._fetch = image_source(self.files, size, workers=workers)

    @property
    def styles(self) -> int:
        """C, the number of fakes of each image."""
        return len(self.set.styles)

    def fetch(self, indices: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """Return uint8 [n, C, H, W, 3] of images [n]; `generator` draws one of several variants of each fake."""
        places = self.places(indices, generator)
        pixels = self._fetch(places.reshape(-1))
        return pixels.view(*places.shape, *pixels.shape[1:])

    def places(self, indices: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """Return the positions [n, C] in `files` of the fakes of images [n]; `generator` draws among variants."""
        shape = (len(indices), self.styles)
        variants = np.zeros(shape, dtype=np.int64)
        if self.set.variants > 1:
            variants = torch.randint(self.set.variants, shape, generator=generator).numpy()
        places: np.ndarray = (np.asarray(indices)[:, None] * self.styles + np.arange(self.styles)) * self.set.variants
        return places + variants


@dataclass(frozen=True)
class _Files:
    """All files of a style folder in one sequence: image by image, style by style, variant by variant."""

    folder: Path
    ids: tuple[str, ...]
    described: StyleSet

    def __len__(self) -> int:
        return len(self.ids) * len(self.described.styles) * self.described.variants

    def image(self, index: int) -> np.ndarray:
        row, variant = divmod(index, self.described.variants)
        image, style = divmod(row, len(self.described.styles))
        return read_image(self.folder / self.described.file(self.ids[image], self.described.styles[style], variant))
