"""Random numbers: each purpose has a stream of its own, so that one more draw for one purpose changes no other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream(seed: int, name: str) -> torch.Generator:
    """A generator for one purpose: what is drawn from it disturbs no other stream of the same seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


@contextmanager
def seeded(seed: int, name: str, device: torch.device | None = None) -> Iterator[None]:
    """Within, torch's global generators begin like the stream `name`; afterwards they go on as before.

    For what draws from no generator of its own: new layers, dropout. `device` names a GPU whose generator is used too.
    """
    with _set_for_a_while(stream(seed, name).initial_seed(), device):
        yield


@contextmanager
def drawing_from(generator: torch.Generator, device: torch.device, rank: int = 0) -> Iterator[None]:
    """Within, torch's global generators are set by a number of `generator`; afterwards they go on as before.

    Each `rank` of several devices draws other numbers, and all leave `generator` in the same state.
    """
    with _set_for_a_while(int(torch.randint(2**62, (), generator=generator)) + rank, device):
        yield


@contextmanager
def _set_for_a_while(seed: int, device: torch.device | None) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
