"""From images to bodies with a trained regressor, and from bodies to structure maps and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from reidbench.data.pictures.images import HasImages, resize
from reidbench.rendering import humanoid
from reidbench.rendering.sheets import contact_sheet
from reidbench.training import image_source

from ..structure.renderer import Camera, render, turned
from .network import Fitted, Regressor, split_theta

CHUNK = 128
GAP = 4  # white pixels between persons of a sheet


@torch.no_grad()
def fit(regressor: Regressor, images: HasImages, indices: np.ndarray, workers: int = 0) -> Fitted:
    """Estimate the bodies in images [N], on the CPU; the regressor's mode is restored."""
    training, device = regressor.training, regressor.mean.device
    preprocess = regressor.spec.preprocess
    height, width = preprocess.size
    fetch = image_source(images, (height, width), limit=0, workers=workers)
    regressor.eval()
    rows = [
        regressor(preprocess.normalise(fetch(indices[start : start + CHUNK])).to(device)).cpu()
        for start in range(0, len(indices), CHUNK)
    ]
    regressor.train(training)
    return split_theta(torch.cat(rows))


def body_views(fitted: Fitted, row: int, aspect: float, size: tuple[int, int], angles: Sequence[int]) -> np.ndarray:
    """Render a body as seen, then turned: uint8 [1 + A, H, W]. `aspect` is that of the regressor's own images.

    The body turns about its own vertical axis through the centre of its skin, with camera and scale fixed. HMR's
    `rotated` turns about the camera's, so that a body seen from above leans over.
    """
    skin, camera = body(fitted, row, aspect, size)
    upright = fitted.pose[row, 0].double().numpy()  # from the body's frame to the camera's
    middle = skin.mean(0)
    own = (skin - middle) @ upright
    views = [skin, *(turned(own, angle) @ upright.T + middle for angle in angles)]
    return np.stack([render(view, humanoid.faces(), camera, size) for view in views])


def body(fitted: Fitted, row: int, aspect: float, size: tuple[int, int]) -> tuple[np.ndarray, Camera]:
    """Return vertices [V, 3] in the camera's frame, and the camera that projects them to where they were seen."""
    one = slice(row, row + 1)
    skin = humanoid.vertices(fitted.pose[one], fitted.shape[one])[0].double().numpy()
    scale, right, down, stretch = fitted.camera[row].double().tolist()
    tall = float(np.exp(scale))
    wide = tall * float(np.exp(stretch)) * aspect
    height, width = size
    return skin, Camera((wide * width, tall * height), ((0.5 + right) * width, (0.5 + down) * height))


def fitted_sheet(regressor: Regressor, images: HasImages, indices: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Draw persons, 4 per row, each as the image, the fitted body, and the body over the image."""
    fitted = fit(regressor, images, indices)
    triples = [
        _triple(resize(images.image(int(index)), size), body_views(fitted, row, aspect_of(regressor), size, ())[0])
        for row, index in enumerate(indices)
    ]
    triples += [np.full_like(triples[0], 255)] * (-len(triples) % min(4, len(triples)))
    columns = min(4, len(triples))
    return contact_sheet([triples[start : start + columns] for start in range(0, len(triples), columns)])


def aspect_of(regressor: Regressor) -> float:
    """Return height over width of the images that a regressor was trained on."""
    height, width = regressor.spec.preprocess.size
    return float(height) / float(width)


def _triple(picture: np.ndarray, grey: np.ndarray) -> np.ndarray:
    beside = np.repeat(grey[:, :, None], 3, axis=2)
    mixed = (picture.astype(np.int64) + 2 * beside.astype(np.int64)) // 3
    covered = np.where((grey < 255)[:, :, None], mixed, picture).astype(np.uint8)
    gap = np.full((picture.shape[0], GAP, 3), 255, dtype=np.uint8)
    return np.concatenate([picture, beside, covered, gap], axis=1)
