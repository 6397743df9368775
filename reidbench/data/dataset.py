"""A data set: up to three splits, where they lie, and what the reader noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .morelabels import MORE_LABELS
from .published import Published
from .split import Split

PARTS = ("train", "query", "gallery")


@dataclass(frozen=True)
class Dataset:
    """`train`, `query` and `gallery`; a pool has `train` only, and a set for tests has an empty `train`.

    `notes` are sentences about strays and oddities. `truth` is what only rendered data know (the synthetic
    persons offer `restyle`, `view`, `structure`, `mask`, `relevance`); it is given only to components that say
    `protocol={"truth"}`. `published` are the counts that the set should have. `strays` are files that were left out
    because they do not belong, and `absent` are images that a list of the set names and that are not there, both
    by split. `faults` are the notes on labels that contradict themselves: notes in a run, problems in a check.
    `one_numbering` says that equal pids in train and test are one person; some sets number their test persons from 1
    again. `validation` are images of train's persons that the set ships for validation; it is no part of a run
    unless `validate: {queries: validation}` asks for it.
    """

    name: str
    root: Path
    train: Split
    query: Split | None = None
    gallery: Split | None = None
    notes: tuple[str, ...] = ()
    truth: Any = None
    published: Published | None = None
    strays: Mapping[str, Sequence[str]] = field(default_factory=dict)
    absent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    one_numbering: bool = False
    validation: Split | None = None

    def parts(self) -> dict[str, Split]:
        """The splits that are there, by name."""
        found = {part: getattr(self, part) for part in PARTS}
        return {part: split for part, split in found.items() if split is not None}

    def unlabelled(self) -> frozenset[str]:
        """Labels beyond identity that are not there, as the words of a component's `lacks`.

        "clothes" where no part has it, "clothes in train", and "clothes in test" where query or gallery has none. One
        of these is enough for tracklets: Market-1501 has several boxes of a query and single images in the gallery.
        """
        known = {part: split.more.known for part, split in self.parts().items()}
        query, gallery = (known.get(part, frozenset[str]()) for part in ("query", "gallery"))
        there = {"train": known["train"], "test": (query & gallery) | ((query | gallery) & {"tracklets"})}
        found = {word for word in MORE_LABELS if not any(word in words for words in known.values())}
        return frozenset(found) | {
            f"{word} in {part}" for part, words in there.items() for word in MORE_LABELS if word not in words
        }

    def with_truth(self, truth: Any) -> Dataset:
        """The same data set, knowing the truth."""
        return replace(self, truth=truth)

    def with_notes(self, *notes: str) -> Dataset:
        """The same data set with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def with_faults(self, *faults: str) -> Dataset:
        """The same data set with further faults, which are notes too."""
        return replace(self.with_notes(*faults), faults=(*self.faults, *faults))
