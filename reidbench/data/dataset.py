"""A data set: up to three splits, their root folder, and the reader's notes."""

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
    """A data set of up to three splits: `train`, `query` and `gallery`.

    A pool has only `train`; a set for tests has an empty `train`.

    `notes` are sentences about strays and oddities. `truth` is known only for rendered data (the synthetic persons
    offer `restyle`, `view`, `structure`, `mask` and `relevance`); only components with `protocol={"truth"}` receive it.
    `published` are the expected counts. `strays` are files left out because they do not belong to the set, and `absent`
    are images that a list of the set names but that are missing; both are per split. `faults` are notes on
    contradictory labels: notes in a run, problems in a check. `one_numbering` means that equal pids in train and test
    are one person; some sets number their test persons from 1 again. `validation` are images of train's persons that
    the set ships for validation; a run uses them only with `validate: {queries: validation}`.
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
        """The available splits, by name."""
        found = {part: getattr(self, part) for part in PARTS}
        return {part: split for part, split in found.items() if split is not None}

    def unlabelled(self) -> frozenset[str]:
        """Labels beyond identity that are missing, as words of a component's `lacks`.

        "clothes" if no part has it, "clothes in train", and "clothes in test" if query or gallery lacks it. For
        tracklets, one of query and gallery suffices: Market-1501 has several boxes per query and single gallery images.
        """
        known = {part: split.more.known for part, split in self.parts().items()}
        query, gallery = (known.get(part, frozenset[str]()) for part in ("query", "gallery"))
        there = {"train": known["train"], "test": (query & gallery) | ((query | gallery) & {"tracklets"})}
        found = {word for word in MORE_LABELS if not any(word in words for words in known.values())}
        return frozenset(found) | {
            f"{word} in {part}" for part, words in there.items() for word in MORE_LABELS if word not in words
        }

    def with_truth(self, truth: Any) -> Dataset:
        """Return the data set with this truth."""
        return replace(self, truth=truth)

    def with_notes(self, *notes: str) -> Dataset:
        """Return the data set with additional notes."""
        return replace(self, notes=(*self.notes, *notes))

    def with_faults(self, *faults: str) -> Dataset:
        """Return the data set with additional faults, which are notes too."""
        return replace(self.with_notes(*faults), faults=(*self.faults, *faults))
