"""Search and copies of images, in threads, so that the event loop never waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from reidbench.data.pictures.images import decode_image
from reidbench.errors import DataError

from .answers import About, Found, Match
from .gallery import Gallery
from .index import Index
from .limits import Limits, Memory, Refused, Room

DECODERS = 2  # threads; a decoded image has three bytes a pixel
Result = TypeVar("Result")


class Service:
    """A gallery, its index, and the network that embeds uploads.

    `embed` maps a decoded image, uint8 [height, width, 3], to its feature [D]. It runs in one thread, one image at a
    time, so an answer does not depend on what else is being searched.
    """

    def __init__(
        self,
        gallery: Gallery,
        index: Index,
        embed: Callable[[np.ndarray], np.ndarray],
        about: About,
        limits: Limits,
    ) -> None:
        self.gallery, self.index, self.about, self.limits = gallery, index, about, limits
        self.uploads = Memory(limits.waiting * limits.upload)
        self.searches, self.copies = Room(limits.waiting), Room(limits.waiting)
        self._embed = embed
        self._decoders = ThreadPoolExecutor(DECODERS, "decode")
        self._network = ThreadPoolExecutor(1, "network")

    async def search(self, picture: bytes, k: int) -> Found:
        """Return the k nearest images of an encoded image. Raises Refused (422) if it cannot be used."""
        try:
            decoded = await _in(self._decoders, decode_image, picture, "the image", self.limits.pixels)
            numbers, distances = await _in(self._network, self._nearest, decoded, k)
        except DataError as error:
            raise Refused(422, str(error)) from None
        rows = enumerate(zip(numbers, distances, strict=True), 1)
        return Found(matches=[self._match(rank, number, distance) for rank, (number, distance) in rows])

    async def copy(self, number: int) -> bytes:
        """Return a copy of an image of the gallery. Raises Refused (404) if there is none."""
        if number >= len(self.gallery):
            raise Refused(404, f"the gallery has no image with this number; the last one is {len(self.gallery) - 1}")
        try:
            return await _in(self._decoders, self.gallery.copy, number)
        except DataError as error:
            raise Refused(404, str(error)) from None

    def close(self) -> None:
        """End the threads; what has not begun is dropped."""
        for pool in (self._decoders, self._network):
            pool.shutdown(cancel_futures=True)

    def _nearest(self, image: np.ndarray, k: int) -> tuple[list[int], list[float]]:
        return self.index.nearest(self._embed(image), k)

    def _match(self, rank: int, number: int, distance: float) -> Match:
        name = self.gallery.name(number)
        return Match(rank=rank, distance=distance, id=number, name=name, url=f"/gallery/{number}")


async def _in(pool: ThreadPoolExecutor, call: Callable[..., Result], *arguments: object) -> Result:
    return await asyncio.get_running_loop().run_in_executor(pool, call, *arguments)
