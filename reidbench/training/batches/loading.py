"""Images of a split as batches: from memory where they fit, decoded as they are needed where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from reidbench.data.pictures.images import HasImages, load_pixels, memory_limit, resize
from reidbench.training.devices import WHOLE, this_share
from reidbench.training.networks.embedder import Embedder, Preprocess

from .augment import Augment
from .fast import FastBatches, picture_reader

Fetch = Callable[[np.ndarray], torch.Tensor]


def image_source(
    images: HasImages, size: tuple[int, int], *, limit: int | None = None, workers: int = 0, fast: bool = False
) -> Fetch:
    """A function from indices [B] to pixels uint8 [B, H, W, 3].

    Keeps all decoded pictures when they fit into `limit` bytes (by default a quarter of the memory, shared by the
    stage's devices, which are processes of one machine). `fast` decodes and resizes with the extra `fast`: a grey
    level may differ from Pillow's.
    """
    limit = memory_limit() // this_share().ranks if limit is None else limit
    read = picture_reader(images, size) if fast else None
    pixels = load_pixels(images, size, limit=limit, workers=workers, picture=read)
    if pixels is not None:
        held = torch.from_numpy(pixels)
        return lambda indices: held[torch.as_tensor(indices)]

    def fetch(indices: np.ndarray) -> torch.Tensor:
        def one(index: int) -> np.ndarray:
            return resize(images.image(int(index)), size) if read is None else read(int(index))

        if workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                return torch.from_numpy(np.stack(list(pool.map(one, indices))))
        return torch.from_numpy(np.stack([one(index) for index in indices]))

    return fetch


def read_ahead(fetch: Fetch, parts: Iterable[np.ndarray], workers: int) -> Iterator[torch.Tensor]:
    """What `fetch` gives for each index array in turn; with workers, the next is fetched while one is used.

    `parts` is asked for the next array before the one before it was used: it must draw no numbers that others draw too.
    """
    if not workers:
        yield from map(fetch, parts)
        return
    with ThreadPoolExecutor(1) as reader:
        coming = None
        for part in parts:
            present, coming = coming, reader.submit(fetch, part)
            if present is not None:
                yield present.result()
        if coming is not None:
            yield coming.result()


class Batches:
    """Normalised, augmented batches: (images [B, 3, H, W], indices [B]) for each index array of `sampler`.

    On several devices each gets its share of every index array, augmented as one device would augment it; an `augment`
    that is no Augment is given the whole batch for that.
    `fast` takes the way of `reidbench.training.batches.fast`, with numbers of its own: say it in the key of what you
    train.
    """

    def __init__(
        self,
        images: HasImages,
        preprocess: Preprocess,
        sampler: Iterable[np.ndarray],
        augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
        generator: torch.Generator | None = None,
        workers: int = 0,
        fast: bool = False,
    ) -> None:
        height, width = preprocess.size
        self.straight: FastBatches | None = None
        if fast:
            inside = augment if isinstance(augment, Augment) else None
            limit = memory_limit() // this_share().ranks
            self.straight = FastBatches(images, preprocess, inside, limit=limit, workers=workers)
            augment = None if inside is not None else augment
        else:
            self.fetch = image_source(images, (height, width), workers=workers)
        self.preprocess = preprocess
        self.sampler = sampler
        self.augment = augment
        self.generator = generator if generator is not None else torch.Generator()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        share = this_share()
        for whole in self.sampler:
            own = share.part(len(whole))
            apart = self.augment is None or isinstance(self.augment, Augment)  # else it needs to see all of the batch
            indices = whole[own] if apart else whole
            if self.straight is not None:
                images = self.straight.batch(indices, self.generator, share if apart else WHOLE)
            else:
                images = self.preprocess.normalise(self.fetch(indices))
            if isinstance(self.augment, Augment):
                images = self.augment(images, self.generator, share)
            elif self.augment is not None:
                images = self.augment(images, self.generator)[own]
            yield images, torch.as_tensor(whole[own])


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
    fast: bool = False,
) -> np.ndarray:
    """Features [N, D] float32 of all images, in eval mode. The embedder is left in the mode it was in.

    `fast` reads pictures with the extra `fast`: features then differ in their last digits.
    """
    training, device = embedder.training, torch.device(device)
    embedder.eval().to(device)
    height, width = embedder.preprocess.size
    straight = FastBatches(images, embedder.preprocess, limit=0, workers=workers) if fast else None
    fetch = image_source(images, (height, width), limit=0, workers=workers)
    cameras: Any = torch.as_tensor(camids)
    rows = []
    parts = [np.arange(start, min(start + batch, len(images))) for start in range(0, len(images), batch)]
    for indices, pixels in zip(parts, read_ahead(straight.batch if straight else fetch, parts, workers), strict=True):
        normal = pixels if straight else embedder.preprocess.normalise(pixels)
        rows.append(embedder(normal.to(device), cameras[indices].to(device)).float().cpu())
        progress(int(indices[-1]) + 1, len(images))
    embedder.train(training)
    return torch.cat(rows).numpy()
