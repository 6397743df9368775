"""A data set: up to three splits, where they lie, and what the reader noticed; all its images as one split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .published import Published
from .split import Sample, Split

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

    def with_truth(self, truth: Any) -> Dataset:
        """The same data set, knowing the truth."""
        return replace(self, truth=truth)

    def with_notes(self, *notes: str) -> Dataset:
        """The same data set with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def with_faults(self, *faults: str) -> Dataset:
        """The same data set with further faults, which are notes too."""
        return replace(self.with_notes(*faults), faults=(*self.faults, *faults))


def all_images(parts: Mapping[str, Split], one_numbering: bool) -> tuple[Split, np.ndarray, tuple[str, ...]]:
    """All images with an identity as one split, the place of each [N] in all parts one after the other, and notes.

    The notes say what was left out. Junk and distractors have no class. An image that a later part has again counts
    once. Without `one_numbering` equal pids in train and test are two persons; cameras are the same in all parts.
    """
    there = [parts[part] for part in PARTS if part in parts]
    above = int(max(there[0].pids.max(initial=0), 0)) if "train" in parts and not one_numbering else 0
    samples: dict[str, Sample] = {}
    places: dict[str, int] = {}
    dropped: Counter[str] = Counter()
    place = -1
    for number, split in enumerate(there):
        for sample in split.samples:
            place += 1
            if sample.pid <= 0:
                dropped["without an identity (junk or distractors)"] += 1
            elif sample.path in samples:
                dropped["that another part has too"] += 1
            else:
                samples[sample.path] = sample._replace(pid=sample.pid + (above if number else 0))
                places[sample.path] = place
    counts = [f"{count} image{'s' * (count > 1)} {what}" for what, count in dropped.items()]
    notes = tuple(f"left out of training: {count}" for count in counts)
    missing = [part for part in PARTS if part not in parts or not len(parts[part])]
    notes += (f"there is no {' and no '.join(missing)} part",) if missing else ()
    return Split(there[0].root, list(samples.values())), np.array(list(places.values()), dtype=np.int64), notes
