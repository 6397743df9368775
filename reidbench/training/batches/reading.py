"""Pixels of a split's images: cached in memory if they fit, otherwise decoded on demand."""

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
CHUNK = 16  # images that a worker takes at a time


def picture_source(
    images: HasImages, size: tuple[int, int], *, limit: int | None = None, workers: int = 0, fast: bool = False
) -> Callable[[int], np.ndarray]:
    """Function from an index to that image's pixels uint8 [H, W, 3].

    Caches all decoded images if they fit into `limit` bytes (by default a quarter of the memory, shared by the stage's
    devices, which are processes of one machine). `fast` decodes and resizes with the extra `fast`: values may differ
    from Pillow's by one grey level.
    """
    limit = memory_limit() // this_share().ranks if limit is None else limit
    read = picture_reader(images, size) if fast else lambda index: resize(images.image(index), size)
    held = load_pixels(images, size, limit=limit, workers=workers, picture=read)
    return read if held is None else held.__getitem__


def image_source(
    images: HasImages, size: tuple[int, int], *, limit: int | None = None, workers: int = 0, fast: bool = False
) -> Fetch:
    """Function from indices [B] to pixels uint8 [B, H, W, 3], read as by `picture_source`."""
    read = picture_source(images, size, limit=limit, workers=workers, fast=fast)

    def fetch(indices: np.ndarray) -> torch.Tensor:
        indices = np.asarray(indices)
        pixels = np.empty((len(indices), *size, 3), np.uint8)

        def some(rows: range) -> None:
            for row in rows:
                pixels[row] = read(int(indices[row]))

        spread(some, len(indices), workers)
        return torch.from_numpy(pixels)

    return fetch


def spread(do: Callable[[range], None], count: int, workers: int) -> None:
    """Call `do(rows)` for all rows below `count`, in `workers` threads; a single worker gets all rows at once."""
    if workers <= 1:
        do(range(count))
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(do, (range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))))


def made_ahead(items: Iterator[Made], workers: int) -> Iterator[Made]:
    """Yield the items, none of which is None; with workers, a thread computes the next one while one is used.

    Random numbers in `items` are drawn in the same order, if no other code draws from the same generators. One item
    more is computed than is used, unless all are used.
    """
    if not workers:
        yield from items
        return
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, items, None)
        while (present := coming.result()) is not None:
            coming = maker.submit(next, items, None)
            yield present


def upload(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move pixels to a device; to a GPU through pinned memory, asynchronously."""
    return (pixels.pin_memory() if device.type == "cuda" else pixels).to(device, non_blocking=True)


def read_ahead(fetch: Callable[[Part], Made], parts: Iterable[Part], workers: int) -> Iterator[Made]:
    """Yield `fetch(part)` for each part (such as indices); with workers, the next is fetched while one is used.

    The next part is requested before the current one is used, so `parts` must not draw from a shared generator.
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
