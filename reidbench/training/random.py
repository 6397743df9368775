"""Random generators: one per purpose, so that an additional draw for one purpose does not change others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream(seed: int, name: str) -> torch.Generator:
    """Generator for one purpose: drawing from it does not affect other generators of the same seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


@contextmanager
def seeded(seed: int, name: str, device: torch.device | None = None) -> Iterator[None]:
    """Context in which torch's global generators start like the stream `name`; their state is restored afterwards.

    For code that uses the global generator: new layers, dropout. `device` is a GPU whose generator is also set.
    """
    with _set_for_a_while(stream(seed, name).initial_seed(), device):
        yield


@contextmanager
def drawing_from(generator: torch.Generator, device: torch.device, rank: int = 0) -> Iterator[None]:
    """Context in which torch's global generators are seeded from `generator`; their state is restored afterwards.

    Each `rank` of several devices draws different numbers, and all leave `generator` in the same state.
    """
    with _set_for_a_while(int(torch.randint(2**62, (), generator=generator)) + rank, device):
        yield


@contextmanager
def _set_for_a_while(seed: int, device: torch.device | None) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
