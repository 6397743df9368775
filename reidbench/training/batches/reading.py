"""Pixels of a split's images: from memory where they fit, decoded as they are needed where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from reidbench.data.pictures.images import HasImages, load_pixels, memory_limit, resize
from reidbench.training.devices import this_share

from .fast import picture_reader

Fetch = Callable[[np.ndarray], torch.Tensor]
Part = TypeVar("Part")
Made = TypeVar("Made")
CHUNK = 4  # pictures that a worker takes at a time


def picture_source(
    images: HasImages, size: tuple[int, int], *, limit: int | None = None, workers: int = 0, fast: bool = False
) -> Callable[[int], np.ndarray]:
    """A function from an index to that picture's pixels uint8 [H, W, 3].

    Keeps all decoded pictures when they fit into `limit` bytes (by default a quarter of the memory, shared by the
    stage's devices, which are processes of one machine). `fast` decodes and resizes with the extra `fast`: a grey
    level may differ from Pillow's.
    """
    limit = memory_limit() // this_share().ranks if limit is None else limit
    read = picture_reader(images, size) if fast else lambda index: resize(images.image(index), size)
    held = load_pixels(images, size, limit=limit, workers=workers, picture=read)
    return read if held is None else held.__getitem__


def image_source(
    images: HasImages, size: tuple[int, int], *, limit: int | None = None, workers: int = 0, fast: bool = False
) -> Fetch:
    """A function from indices [B] to pixels uint8 [B, H, W, 3], of pictures as `picture_source` has them."""
    read = picture_source(images, size, limit=limit, workers=workers, fast=fast)

    def fetch(indices: np.ndarray) -> torch.Tensor:
        indices = np.asarray(indices)
        pixels = np.empty((len(indices), *size, 3), np.uint8)

        def one(row: int) -> None:
            pixels[row] = read(int(indices[row]))

        each(one, len(indices), workers)
        return torch.from_numpy(pixels)

    return fetch


def each(do: Callable[[int], None], count: int, workers: int) -> None:
    """`do(row)` for every row below `count`, by as many threads as there are workers."""
    if workers <= 1:
        for row in range(count):
            do(row)
        return

    def some(start: int) -> None:
        for row in range(start, min(start + CHUNK, count)):
            do(row)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(some, range(0, count, CHUNK)))


def read_ahead(fetch: Callable[[Part], Made], parts: Iterable[Part], workers: int) -> Iterator[Made]:
    """What `fetch` gives for each part (indices, say) in turn; with workers, the next is fetched while one is used.

    `parts` is asked for the next part before the one before it was used: it must draw no numbers that others draw too.
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
