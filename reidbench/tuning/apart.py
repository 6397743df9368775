"""Check that data which judge the trials of a search contain no test images of the task."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from reidbench.data.overlap import read_numbers, shared
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

TEST = ("query", "gallery")


def shared_images(store: Store, judge: str, target: str) -> str:
    """Return how many test images of a target are test images of the data that judge its trials, or "".

    `judge` and `target` are keys of data stages. Images are compared by their files' contents, once both stages have
    run; rendered images are not compared.
    """
    judging, test = _numbers(store, judge), _numbers(store, target)
    if not judging or not test:
        return ""
    labelled = np.concatenate([judging[part] for part in TEST])
    counts = {part: len(shared(test[part], labelled)) for part in TEST}
    return " and ".join(f"{counts[part]} of {len(test[part])} {part} images" for part in TEST if counts[part])


def _numbers(store: Store, key: str) -> dict[str, np.ndarray]:
    """Return the image numbers of a data stage's query and gallery; {} if it has none or has not run."""
    with suppress(KeyError, BadArtifact):
        numbers = read_numbers(store.read(key).path)
        if set(TEST) <= numbers.keys():
            return numbers
    return {}
