"""Check which test images or persons of a target a method was trained or validated on, to note it in the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from reidbench.data import Split
from reidbench.data.dataset import PARTS
from reidbench.data.overlap import (
    PERSONS_IN_TRAIN,
    QUERY_IN_GALLERY,
    TEST_IN_TRAIN,
    TEST_IN_VALIDATION,
    persons_in_train,
    read_numbers,
    shared,
)
from reidbench.files.names import shown
from reidbench.matrix.benchmark import ALL_IMAGES
from reidbench.matrix.stage import DataInput
from reidbench.store.artifact import Artifact
from reidbench.words import VALIDATION

from ..inputs import Inputs, every_image


@dataclass
class Seen:
    """Overlaps found by the embed stage of a target.

    `columns` are `query_images` [Q] and `gallery_images` [G] int64, the same for identical images, if there are any.
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    words: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def look_back(inputs: Inputs, target: DataInput, parts: Mapping[str, Split]) -> Seen:
    """Compare query and gallery of the target with each other, and with all training data of earlier stages.

    Training data include the held-out images on which a training chose its epoch.
    """
    seen = Seen()
    numbers = read_numbers(inputs.artifact(target.key).path)
    own = [given.data for given in inputs.spec.trained_on if (given.key, given.part) == (target.key, ALL_IMAGES)]
    if own:  # whether or not its images can be compared
        seen.words[TEST_IN_TRAIN] = None
        seen.notes.append(f"trained on all images of {own[0]}, which is {target.data}")
    if not numbers:
        return seen
    if len(shared(numbers["query"], numbers["gallery"])):
        seen.words[QUERY_IN_GALLERY] = None
        seen.columns = {f"{part}_images": numbers[part] for part in ("query", "gallery")}
    looked = set()
    for given in inputs.spec.trained_on:
        use = given.key, given.part, given.identities, given.subset_seed
        if use not in looked:
            looked.add(use)
            _compare(inputs, target, parts, numbers, given, seen)
    return seen


def _compare(
    inputs: Inputs,
    target: DataInput,
    parts: Mapping[str, Split],
    numbers: Mapping[str, np.ndarray],
    given: DataInput,
    seen: Seen,
) -> None:
    found = read_numbers(inputs.artifact(given.key).path)
    if not found:
        return
    if given.role == VALIDATION:
        validated = np.concatenate([found["query"], found["gallery"]])
        return _name_shared(
            target, parts, numbers, validated, f"epoch chosen on {given.data}", TEST_IN_VALIDATION, seen
        )
    artifact, root = inputs.artifact(given.key), parts["query"].root
    if given.part == ALL_IMAGES:
        train, places, _ = every_image(artifact, root)
        trained = np.concatenate([found[part] for part in PARTS if part in found])[places]
    else:
        train, trained = Split.load(artifact.path / "train.json", root), found["train"]
    if given.identities is not None:
        chosen = train.few_identities(given.identities, given.subset_seed).pids
        rows = np.isin(train.pids, chosen)
        trained, train = trained[rows], train.subset(np.flatnonzero(rows))
    _name_shared(target, parts, numbers, trained, f"trained on {given.data}", TEST_IN_TRAIN, seen)
    persons = persons_in_train(train.pids, parts["query"].pids, parts["gallery"].pids)
    one = given.key == target.key or _of_one_set(artifact, inputs.artifact(target.key))
    if one and len(persons) and inputs.artifact(target.key).need("one_numbering"):
        seen.words[PERSONS_IN_TRAIN] = None


def _name_shared(
    target: DataInput,
    parts: Mapping[str, Split],
    numbers: Mapping[str, np.ndarray],
    others: np.ndarray,
    use: str,
    word: str,
    seen: Seen,
) -> None:
    """Add the word and a note if `others`, the numbers of images with this use, are among the test images."""
    for part, split in parts.items():
        both = shared(numbers[part], others)
        if len(both):
            seen.words[word] = None
            first = shown(split.paths[int(both[0])])
            where = f"{len(both)} of {len(split)} {part} images of {target.data}"
            seen.notes.append(f"{use}, which contains {where} (identical files), first {first}")


def _of_one_set(part: Artifact, whole: Artifact) -> bool:
    """Return whether two data stages read the same data set, one of them holding out a part of train."""
    read = ("use", "params", "content", "few")
    one, other = (artifact.need("stage") for artifact in (part, whole))
    return bool(one.get("content")) and all(one.get(name) == other.get(name) for name in read)
