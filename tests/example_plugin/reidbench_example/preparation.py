"""example-pixels: a preparer, and an adapter that uses its result."""

from __future__ import annotations

import json

import numpy as np

from reidbench import AdaptContext, Params, PrepareContext
from reidbench.training import BackboneEmbedder, Preprocess

from . import UserParams


def prepare(ctx: PrepareContext[Params]) -> None:
    """Write mean and standard deviation of each channel over all images, for pixels from 0 to 1, to pixels.json."""
    sums = np.zeros((2, 3))
    for index in range(len(ctx.split)):
        pixels = ctx.split.image(index).reshape(-1, 3) / 255
        sums += np.stack([pixels.mean(0), (pixels**2).mean(0)])
    mean, square = sums / len(ctx.split)
    std = np.sqrt(np.maximum(square - mean**2, 1e-6))  # uniform images have zero deviation
    (ctx.out / "pixels.json").write_text(json.dumps({"mean": mean.tolist(), "std": std.tolist()}))


def use(ctx: AdaptContext[UserParams]) -> BackboneEmbedder:
    """Return an embedder with the weights of the previous step that normalises images by the target's statistics."""
    pixels = json.loads((ctx.prepared["pixels"] / "pixels.json").read_text())
    return BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size, **pixels))
