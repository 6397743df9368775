"""Small subset of a data set's images for a rehearsal: just enough for every sampler."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from reidbench.data import Dataset, Split

SAME = 4  # images of one identity in one camera, outfit and modality
STRAYS = 64  # images without an identity: of a pool, or junk and distractors of a gallery


def few_of(dataset: Dataset, identities: int) -> Dataset:
    """Return the data set with this number of identities in each part, smallest pids first; gallery as query.

    Keeps the first SAME images of each identity, camera, outfit and modality, so rules on clothes and modalities find
    matches, and the first STRAYS images without an identity. Rendered data find their truth by position, so such a set
    stays whole.
    """
    if dataset.truth is not None:
        return dataset
    trained = _least(dataset.train, identities)
    parts = {"train": _few(dataset.train, trained)}
    if dataset.validation is not None:
        parts["validation"] = _few(dataset.validation, trained)
    if dataset.query is not None and dataset.gallery is not None:
        wanted = _least(dataset.query, identities)
        parts |= {"query": _few(dataset.query, wanted), "gallery": _few(dataset.gallery, wanted)}
    return replace(dataset, **parts)  # type: ignore[arg-type]


def _least(split: Split, identities: int) -> set[int]:
    return set(np.unique(split.pids[split.pids > 0])[:identities].tolist())


def _few(split: Split, wanted: set[int]) -> Split:
    seen: Counter[tuple[int, ...]] = Counter()
    kept = []
    for row, (pid, *kind) in enumerate(_kinds(split).tolist()):
        group = (pid, *kind) if pid > 0 else ()
        if (pid in wanted or pid <= 0) and seen[group] < (SAME if pid > 0 else STRAYS):
            seen[group] += 1
            kept.append(row)
    return split.subset(kept)


def _kinds(split: Split) -> np.ndarray:
    """Return pid, camera and, if available, outfit and modality of each image, as numbers [N, 2 to 4]."""
    columns = [split.pids, split.camids]
    columns += [] if split.clothes is None else [split.clothes]
    columns += [] if split.modality is None else [np.unique(split.modality, return_inverse=True)[1]]
    return np.stack(columns, axis=1)
