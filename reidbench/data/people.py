"""Meaning of pids: junk and person 0 in training, and persons in both train and test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reidbench.errors import DataError

from .dataset import Dataset
from .split import DISTRACTOR, JUNK

SHOWN = 5
FROM_ONE = "pid 0 means a distractor: number identities from 1 (add 1 to every pid)"


def settle_people(dataset: Dataset, *, train_distractors: bool = False) -> Dataset:
    """Remove junk from training and resolve pid 0, with notes.

    In training, pid 0 among other pids is a person, who gets an unused pid, except in sets whose author declares it to
    be distractors (`train_distractors`). If pid 0 is the only pid, the set is a pool without labels. A query of pid 0
    is a fault of the labels, since a distractor is never searched for. Raises DataError if only junk is left to train
    on.
    """
    dataset = _without_junk(dataset)
    train, query = dataset.train, dataset.query
    zero = train.pids == DISTRACTOR
    trained = zero.any() and not zero.all() and not train_distractors
    if trained:
        note = f"train: pid 0 ({zero.sum()} images) is trained on as an identity; in other splits {FROM_ONE}"
        free = max(int(split.pids.max(initial=0)) for split in dataset.parts().values()) + 1
        pids = np.where(zero, free, train.pids)
        dataset = replace(dataset, train=train.with_pids(pids)).with_notes(note)
    sought = 0 if query is None else int((query.pids == DISTRACTOR).sum())
    if sought:
        also = " and is also in train" if trained else ""
        dataset = dataset.with_faults(f"query: pid 0 ({sought} images) is scored as an identity{also}, but {FROM_ONE}")
    return dataset


def find_overlap(dataset: Dataset) -> Dataset:
    """Note a fault if a person is in train and in query or gallery.

    Only for sets in which equal pids are one person: some sets of the field number their test persons from 1 again.
    """
    dataset = replace(dataset, one_numbering=True)
    tests = [split.pids for split in (dataset.query, dataset.gallery) if split is not None]
    both = np.intersect1d(dataset.train.pids, np.concatenate(tests)) if tests else np.empty(0, np.int64)
    both = both[both > DISTRACTOR]
    if not len(both):
        return dataset
    pids = ", ".join(map(str, both[:SHOWN].tolist())) + (", ..." if len(both) > SHOWN else "")
    return dataset.with_faults(
        f"{len(both)} identities are in train and in the test: pid {pids}; give test identities different pids, "
        "and remove identities that really are in both from train"
    )


def _without_junk(dataset: Dataset) -> Dataset:
    train = dataset.train
    junk = train.pids == JUNK
    if not junk.any():
        return dataset
    if junk.all():
        raise DataError(f"{dataset.root}: all {len(train)} images of train are junk (pid -1): nothing to train on")
    note = f"train: {junk.sum()} images left out: junk (pid -1)"
    return replace(dataset, train=train.subset(np.flatnonzero(~junk))).with_notes(note)
