"""Structure artifacts: every image's body at all angles, grey on white, in one array; a description; a sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reidbench import Params, PrepareContext
from reidbench.data.pictures.images import resize
from reidbench.errors import DataError
from reidbench.rendering.sheets import contact_sheet

from .params import StructureParams

STRUCTURE = "structure.npy"
DESCRIPTION = "structure.json"
SHEET = "contact-sheet.png"
WHITE = 255

LISTED = 10  # number of missing images that a message lists

# index -> uint8 [1 + angles, H, W], or None for an image without structure
Make = Callable[[int], np.ndarray | None]


@dataclass(frozen=True)
class StructureMaps:
    """Contents of a structure folder.

    `maps` is uint8 [N, 1 + A, H, W], memory-mapped, in the order of the hidden split's `ids`: first the view as seen,
    then the body turned by each of `angles` (degrees). `missing` are the images without structure, all white.
    """

    provider: str
    angles: tuple[int, ...]
    maps: np.ndarray
    missing: tuple[int, ...]

    @classmethod
    def load(cls, folder: Path, images: int) -> StructureMaps:
        """Read the output of `write_structure_maps` for a split of `images`.

        Raises DataError if it is not a structure folder, is damaged, or has a different number of images.
        """
        if not (folder / DESCRIPTION).is_file() or not (folder / STRUCTURE).is_file():
            raise DataError(f"{folder}: not a structure folder: {DESCRIPTION} or {STRUCTURE} is missing")
        try:
            facts = json.loads((folder / DESCRIPTION).read_text())
            angles = tuple(int(angle) for angle in facts["angles"])
            missing = tuple(int(name) for name in facts["missing"])
            provider, count = str(facts["provider"]), int(facts["images"])
            maps = np.load(folder / STRUCTURE, mmap_mode="r", allow_pickle=False)
        except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise DataError(f"{folder}: the structure folder cannot be read: {error}") from None
        if count != images:
            raise DataError(f"{folder}: holds structure of {count} images, but the target has {images}")
        if maps.ndim != 4 or maps.dtype != np.uint8 or maps.shape[:2] != (images, 1 + len(angles)):
            raise DataError(
                f"{folder}: {STRUCTURE} is {maps.dtype} {list(maps.shape)}, not {images} images x 1 + angles"
            )
        return cls(provider, angles, maps, missing)

    def column(self, angle: int) -> int:
        """Return the index along axis 1 of `maps` of an angle. Raises DataError for an angle that is not rendered."""
        turn = angle % 360
        if turn == 0:
            return 0
        if turn not in self.angles:
            raise DataError(f"structure of {self.provider} has angles {list(self.angles)}, not {angle}: set angles")
        return 1 + self.angles.index(turn)


def write_structure_maps(ctx: PrepareContext[StructureParams], provider: str, make: Make) -> None:
    """Write `make(index)` of every image of the split to `ctx.out`, with a contact sheet of the first `sheet` persons.

    Images for which `make` returns None stay white and are listed. Raises DataError that lists and counts them if they
    exceed the fraction `tolerance`. Angles, `sheet` and `tolerance` are parameters.
    """
    split, angles = ctx.split, ctx.params.angles
    shape = (len(split), 1 + len(angles), *ctx.image_size)
    maps = np.lib.format.open_memmap(ctx.out / STRUCTURE, mode="w+", dtype=np.uint8, shape=shape)
    missing = []
    for index in range(len(split)):
        views = make(index)
        if views is None:
            missing.append(index)
            maps[index] = WHITE
        else:
            assert views.dtype == np.uint8, f"{views.dtype} structure"
            assert views.shape == shape[1:], f"{views.shape} instead of {shape[1:]}"
            maps[index] = views
        if index % 64 == 63 or index + 1 == len(split):
            ctx.progress(index + 1, len(split))
    maps.flush()
    refuse_missing(ctx, provider, missing)
    ids = [split.ids[index] for index in missing]
    facts = {"provider": provider, "angles": list(angles), "images": len(split), "missing": ids}
    (ctx.out / DESCRIPTION).write_text(json.dumps(facts))
    shown = [index for index in range(len(split)) if index not in set(missing)][: ctx.params.sheet]
    if shown:
        rows = [_row(ctx, maps, index) for index in shown]
        contact_sheet(rows, ["image", "seen", *map(str, angles)]).save(ctx.out / SHEET)


def refuse_missing(ctx: PrepareContext[StructureParams], provider: str, missing: Sequence[int], why: str = "") -> None:
    """Raise DataError, with count and opaque ids, if more than a fraction `tolerance` of the images is missing.

    Providers that know the missing images in advance call it before rendering; `why` ends the sentence.
    """
    total, tolerance = len(ctx.split), ctx.params.tolerance
    if len(missing) <= tolerance * total:
        return
    ids = ctx.split.ids
    listed = ", ".join(ids[index] for index in missing[:LISTED]) + (", ..." if len(missing) > LISTED else "")
    allowed = f", and tolerance {tolerance:g} allows {int(tolerance * total)}" if tolerance else ""
    raise DataError(f"{provider}: {len(missing)} of {total} images have no structure ({listed}){allowed}{why}")


def to_tensor(maps: np.ndarray) -> torch.Tensor:
    """uint8 [B, H, W] to float32 [B, 1, H, W], (x / 255 - 0.5) / 0.5: white is exactly 1, the body less (GCL 1.1)."""
    pixels = torch.from_numpy(np.array(maps, dtype=np.uint8))
    return ((pixels.float() / 255 - 0.5) / 0.5).unsqueeze(1)


def to_grey(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Convert uint8 [h, w] or [h, w, 3] to luma uint8 of `size` = (height, width), bicubic as GCL reads it."""
    picture = Image.fromarray(image)
    if picture.mode != "L":
        picture = picture.convert("L")
    if picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _row(ctx: PrepareContext[Params], maps: np.ndarray, index: int) -> list[np.ndarray]:
    """Return a row of the contact sheet: the image, the view as seen, then every angle."""
    bodies = np.repeat(maps[index][..., None], 3, axis=3)
    return [resize(ctx.split.image(index), ctx.image_size), *bodies]
