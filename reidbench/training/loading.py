"""Images of a split as batches: from memory where they fit, decoded as they are needed where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from ..data.images import HasImages, load_pixels, resize
from .embedder import Embedder, Preprocess

Fetch = Callable[[np.ndarray], torch.Tensor]


def image_source(images: HasImages, size: tuple[int, int], *, limit: int | None = None, workers: int = 0) -> Fetch:
    """A function from indices [B] to pixels uint8 [B, H, W, 3].

    Keeps all decoded pictures when they fit into `limit` bytes (a quarter of the memory by default).
    """
    pixels = load_pixels(images, size, limit=limit, workers=workers)
    if pixels is not None:
        held = torch.from_numpy(pixels)
        return lambda indices: held[torch.as_tensor(indices)]

    def fetch(indices: np.ndarray) -> torch.Tensor:
        def one(index: int) -> np.ndarray:
            return resize(images.image(int(index)), size)

        if workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                return torch.from_numpy(np.stack(list(pool.map(one, indices))))
        return torch.from_numpy(np.stack([one(index) for index in indices]))

    return fetch


class Batches:
    """Normalised, augmented batches: (images [B, 3, H, W], indices [B]) for each index array of `sampler`."""

    def __init__(
        self,
        images: HasImages,
        preprocess: Preprocess,
        sampler: Iterable[np.ndarray],
        augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
        generator: torch.Generator | None = None,
        workers: int = 0,
    ) -> None:
        height, width = preprocess.size
        self.fetch = image_source(images, (height, width), workers=workers)
        self.preprocess = preprocess
        self.sampler = sampler
        self.augment = augment
        self.generator = generator if generator is not None else torch.Generator()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for indices in self.sampler:
            images = self.preprocess.normalise(self.fetch(indices))
            if self.augment is not None:
                images = self.augment(images, self.generator)
            yield images, torch.as_tensor(indices)


@torch.no_grad()
def embed(
    embedder: Embedder,
    images: HasImages,
    camids: np.ndarray,
    *,
    device: str | torch.device = "cpu",
    batch: int = 128,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Features [N, D] float32 of all images, in eval mode. The embedder is left in the mode it was in."""
    training, device = embedder.training, torch.device(device)
    embedder.eval().to(device)
    height, width = embedder.preprocess.size
    fetch = image_source(images, (height, width), limit=0, workers=workers)
    cameras: Any = torch.as_tensor(camids)
    rows = []
    for start in range(0, len(images), batch):
        indices = np.arange(start, min(start + batch, len(images)))
        pixels = embedder.preprocess.normalise(fetch(indices)).to(device)
        rows.append(embedder(pixels, cameras[indices].to(device)).float().cpu())
        progress(int(indices[-1]) + 1, len(images))
    embedder.train(training)
    return torch.cat(rows).numpy()
