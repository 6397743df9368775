"""Camera styles without training: a released folder, the renderer's own, and the control."""

from __future__ import annotations

import numpy as np
import torch

from reidbench import PrepareContext
from reidbench.data import UNKNOWN_CAMERA, HiddenSplit
from reidbench.data.pictures.images import HasImages, resize
from reidbench.errors import DataError
from reidbench.training import image_source, stream

from .params import CamStyleFolderParams, OracleStyleParams, SelfStyleParams
from .styles import known_cameras, write_styles

LUMA = (0.299, 0.587, 0.114)


# ---------------------------------------------------------------------- a released folder
def camstyle_folder(ctx: PrepareContext[CamStyleFolderParams]) -> None:
    """Copy the images of a folder to opaque names, at the benchmark's size and without further loss (PNG).

    Raises DataError if files are missing, or if the pattern needs own cameras that are unknown.
    """
    params = ctx.params
    count = params.cameras or known_cameras(ctx.split)[-1] + 1
    released = _Released(ctx.split, params, count)
    released.check()

    def make(indices: np.ndarray) -> np.ndarray:
        return np.array([
            [[resize(picture, ctx.image_size)] for picture in released.pictures(index)] for index in indices.tolist()
        ])  # fmt: skip

    write_styles(ctx, range(1, count + 1), make, quality=None)


class _Released:
    """Files of a folder by image and style; only the split's sidecars know the names."""

    def __init__(self, split: HiddenSplit, params: CamStyleFolderParams, count: int) -> None:
        own = "{own}" in params.pattern
        if own and (split.camids == UNKNOWN_CAMERA).any():
            raise DataError(
                f"pattern {params.pattern}: own cameras are unknown for some images; use a pattern without {{own}}"
            )
        self.params = params
        # If the pattern contains the own camera, the images of each camera form a group with separate sidecars.
        self.groups = split.camids if own else np.full(len(split), UNKNOWN_CAMERA)
        self.places = np.zeros(len(split), dtype=np.int64)
        self.files: dict[int, list[HasImages]] = {}
        self.sidecars = []
        for group in np.unique(self.groups).tolist():
            rows = np.flatnonzero(self.groups == group)
            self.places[rows] = np.arange(len(rows))
            part = split.subset(rows)
            self.files[group] = []
            for style in range(1, count + 1):
                if own and style == group + 1:
                    self.files[group].append(part)
                    continue
                sidecar = part.sidecar(params.folder, params.pattern, k=style, own=group + 1)
                self.sidecars.append(sidecar)
                self.files[group].append(sidecar)

    def check(self) -> None:
        """Raise DataError with the number of missing files."""
        missing = sum(len(sidecar.missing()) for sidecar in self.sidecars)
        if missing:
            total = sum(len(sidecar) for sidecar in self.sidecars)
            raise DataError(
                f"{self.params.folder}: {missing} of {total} files {self.params.pattern} are missing; set folder to "
                "this data set's training images in other styles"
            )

    def pictures(self, index: int) -> list[np.ndarray]:
        """Return one image in every style."""
        group, place = int(self.groups[index]), int(self.places[index])
        return [source.image(place) for source in self.files[group]]


# ---------------------------------------------------------------------- the truth
def oracle_style(ctx: PrepareContext[OracleStyleParams]) -> None:
    """Render the same moment as each camera would have recorded it, `draws` times with different noise.

    Scene, pose and light are those of the image: only a camera's colours, blur and noise differ.
    """
    params = ctx.params
    cameras = known_cameras(ctx.split)

    def make(indices: np.ndarray) -> np.ndarray:
        # Draw 0 is the noise of the image itself, so fakes start at draw 1.
        return np.array([
            [[ctx.truth.restyle(index, camera, draw) for draw in range(1, params.draws + 1)] for camera in cameras]
            for index in indices.tolist()
        ])  # fmt: skip

    styles = [camera + 1 for camera in cameras]
    write_styles(ctx, styles, make, variants=params.draws, quality=params.quality)


# ---------------------------------------------------------------------- the control
def self_style(ctx: PrepareContext[SelfStyleParams]) -> None:
    """Use the image itself for every style, with random brightness, contrast and saturation if `jitter` is set."""
    params = ctx.params
    styles = list(range(1, params.copies + 1)) if params.copies else [c + 1 for c in known_cameras(ctx.split)]
    fetch = image_source(ctx.split, ctx.image_size, limit=0, workers=ctx.workers)
    generator = stream(ctx.seed, "jitter")

    def make(indices: np.ndarray) -> np.ndarray:
        copies = fetch(indices)[:, None].expand(-1, len(styles), -1, -1, -1).flatten(0, 1)
        jittered = jitter(copies, params.jitter, generator)
        return jittered.view(len(indices), len(styles), 1, *copies.shape[1:]).numpy()

    write_styles(ctx, styles, make, quality=params.quality)


def jitter(pixels: torch.Tensor, spread: float, generator: torch.Generator) -> torch.Tensor:
    """Scale brightness, then contrast, then saturation of uint8 [B, H, W, 3], each by a factor within 1 +- spread."""
    if spread == 0:
        return pixels
    factors = 1 + spread * (2 * torch.rand(3, len(pixels), 1, 1, 1, generator=generator) - 1)
    images = pixels.float() * factors[0]
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + (images - middle) * factors[1]
    grey = (images * torch.tensor(LUMA)).sum(3, keepdim=True)
    images = grey + (images - grey) * factors[2]
    return images.round().clamp(0, 255).to(torch.uint8)
