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
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(stream(seed, name).initial_seed())
        yield
