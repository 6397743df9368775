"""Limits of a request, and refusals: an HTTP status with one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

AGAIN = {"Retry-After": "1"}


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    upload: bytes of a request's body. pixels: of an uploaded image. results: images in an answer. waiting: requests
    of one kind that are served or wait at the same time; all uploads together take the memory of this number of the
    largest. seconds: time for an upload to arrive.
    """

    upload: int = 8 << 20
    pixels: int = 1 << 24
    results: int = 100
    waiting: int = 64
    seconds: float = 30.0


class Refused(Exception):
    """Raised for a request that is not served; `sentence` says why and how to change it."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


@dataclass
class Memory:
    """Bytes of all uploads, at most `most`, so that stalled ones keep out only what they have sent."""

    most: int
    held: int = field(default=0, init=False)

    @contextlib.contextmanager
    def counted(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts bytes of one upload, until the block ends. It raises Refused (503)."""
        own = 0

        def add(size: int) -> None:
            nonlocal own
            if self.held + size > self.most:
                raise Refused(503, "too many uploads arrive at the same time; try again", AGAIN)
            own += size
            self.held += size

        try:
            yield add
        finally:
            self.held -= own


@dataclass
class Room:
    """Requests that are served or wait, at most `most`. For one event loop, so it needs no lock."""

    most: int
    inside: int = field(default=0, init=False)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Count a request while it is served. Raises Refused (503) if there are too many."""
        if self.inside >= self.most:
            raise Refused(503, f"{self.most} requests are already waiting; try again", AGAIN)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
