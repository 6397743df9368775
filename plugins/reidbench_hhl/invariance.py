"""Distances by which a crop, a flip and another camera's style move a feature (HHL, Table 1)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from reidbench import AdaptContext
from reidbench.data import UNKNOWN_CAMERA
from reidbench.training import Embedder, stream
from reidbench.training.batches.crops import CROPS, crop_and_resize, draw_boxes

from .params import HHLParams
from .styles import Fakes

CHUNK = 32  # images per chunk, each with its fakes


@torch.no_grad()
def distances(
    embedder: Embedder,
    fetch: Callable[[np.ndarray], torch.Tensor],
    fakes: Fakes,
    count: int,
    ctx: AdaptContext[HHLParams],
) -> dict[str, float]:
    """Mean Euclidean distance between f(x) and f(T x) over `count` target images, in eval mode.

    T is a crop, a flip, or the style of every camera other than the image's own. Every call uses the same images and
    crops. The embedder's mode is restored.
    """
    training = embedder.training
    embedder.eval()
    generator = stream(ctx.seed, "invariance")
    chosen = torch.randperm(len(ctx.target), generator=generator)[:count].numpy()
    moved: dict[str, list[torch.Tensor]] = {"crop": [], "flip": [], "style": []}

    def features(images: torch.Tensor) -> torch.Tensor:
        return embedder(ctx.fabric.to_device(images))  # type: ignore[no-any-return]

    for rows in np.split(chosen, range(CHUNK, count, CHUNK)):
        images = embedder.preprocess.normalise(fetch(rows))
        plain = features(images)
        boxes = draw_boxes(CROPS["rect"], len(rows), (images.shape[2], images.shape[3]), generator)
        moved["crop"].append((features(crop_and_resize(images, boxes)) - plain).norm(dim=1))
        moved["flip"].append((features(images.flip(3)) - plain).norm(dim=1))
        styled = features(embedder.preprocess.normalise(fakes.fetch(rows, generator).flatten(0, 1)))
        styled = styled.view(len(rows), fakes.styles, -1)
        moved["style"].append((styled - plain[:, None]).norm(dim=2)[_others(ctx, fakes, rows)])
    embedder.train(training)
    return {name: float(torch.cat(values).mean()) for name, values in moved.items()}


def _others(ctx: AdaptContext[HHLParams], fakes: Fakes, rows: np.ndarray) -> torch.Tensor:
    """Return a mask [n, C], true where the style is not that of the image's own camera."""
    own = ctx.target.camids[rows]
    styles = np.array(fakes.set.styles) - 1
    others = torch.from_numpy((own[:, None] != styles[None]) | (own[:, None] == UNKNOWN_CAMERA))
    return ctx.fabric.to_device(others)  # type: ignore[no-any-return]
