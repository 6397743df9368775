"""A data set: up to three splits, where they lie, and what the reader noticed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .split import Split

PARTS = ("train", "query", "gallery")


@dataclass(frozen=True)
class Dataset:
    """`train`, `query` and `gallery`; a pool has `train` only.

    `notes` are sentences about strays and oddities. `truth` is what only rendered data know (the synthetic
    persons offer `restyle`, `view`, `structure`, `mask`, `relevance`); it is given only to components that say
    `uses={"truth"}`.
    """

    name: str
    root: Path
    train: Split
    query: Split | None = None
    gallery: Split | None = None
    notes: tuple[str, ...] = ()
    truth: Any = None

    def parts(self) -> dict[str, Split]:
        """The splits that are there, by name."""
        found = {part: getattr(self, part) for part in PARTS}
        return {part: split for part, split in found.items() if split is not None}

    def with_truth(self, truth: Any) -> Dataset:
        """The same data set, knowing the truth."""
        return replace(self, truth=truth)
