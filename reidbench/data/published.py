"""What the makers of a data set say is in it, and how far that is known to be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .hidden import UNKNOWN_CAMERA
from .morelabels import UNKNOWN
from .split import DISTRACTOR, JUNK, Split

WORDS = ("images", "identities", "cameras")
MORE_WORDS = ("outfits", "tracklets")  # of sets that have these labels, as images of a modality are


@dataclass(frozen=True)
class Counts:
    """Numbers of one split; None is a number that nobody published. `unverified` names those that may be wrong.

    Images include junk (pid -1). Identities leave junk out and count all distractors (pid 0) as one, which is how
    Market-1501's gallery comes to 751. Unknown cameras are none. Outfits are those of all persons (pid from 1), so
    that two persons in equal clothes have two. Tracklets include those of junk and distractors. `modality` has the
    number of images by modality ("visible", "infrared"), of which `unverified` has the word "modality" or none.
    """

    images: int | None = None
    identities: int | None = None
    cameras: int | None = None
    unverified: frozenset[str] = frozenset()
    outfits: int | None = None
    tracklets: int | None = None
    modality: Mapping[str, int] = field(default_factory=dict)

    def doubted(self, *words: str) -> Counts:
        """The same, with these numbers (by default all) marked as unverified."""
        return replace(self, unverified=frozenset(words or (*WORDS, *MORE_WORDS, "modality")))

    def numbers(self) -> dict[str, tuple[int, str]]:
        """(number, its word in `unverified`) of what was published, by the words that a sentence has for it."""
        found = {word: (number, word) for word in (*WORDS, *MORE_WORDS) if (number := getattr(self, word)) is not None}
        return found | {f"{word} images": (number, "modality") for word, number in self.modality.items()}


@dataclass(frozen=True)
class Published:
    """Published counts of a data set, by split (train, query, gallery), and where they come from.

    The split `all` stands for the union, for sets of which only totals are published; `validation` for the part that
    some sets ship for it.
    `per_camera` is the number of images of each camera, from camera 0, junk apart: it tells where files are gone.
    `alternatives` are number of images by split that are known to be something else, with a sentence that says what.
    """

    parts: Mapping[str, Counts]
    source: str
    per_camera: Mapping[str, Sequence[int]] = field(default_factory=dict)
    alternatives: Sequence[tuple[str, Mapping[str, int]]] = ()

    def doubted(self) -> Published:
        """The same, with every number marked as unverified."""
        parts = {part: counts.doubted() for part, counts in self.parts.items()}
        return Published(parts, self.source, {}, self.alternatives)


@dataclass(frozen=True)
class Found:
    """What a split holds: see Counts; and of its images, how many are junk and how many distractors."""

    images: int = 0
    identities: int = 0
    cameras: int = 0
    junk: int = 0
    distractors: int = 0
    outfits: int = 0
    tracklets: int = 0
    modality: Mapping[str, int] = field(default_factory=dict)

    def number(self, what: str) -> int:
        """The number by its name in Counts.numbers: "images", "outfits", "infrared images"."""
        if what in (*WORDS, *MORE_WORDS):
            return int(getattr(self, what))
        return self.modality.get(what.removesuffix(" images"), 0)


def count(split: Split) -> Found:
    """Count a split by the rule of Counts."""
    return Found(
        len(split),
        len(np.unique(split.pids[split.pids != JUNK])),
        len(np.unique(split.camids[split.camids != UNKNOWN_CAMERA])),
        int((split.pids == JUNK).sum()),
        int((split.pids == DISTRACTOR).sum()),
        _different(split.clothes, split.pids > DISTRACTOR, split.pids),
        _different(split.tracklets, np.full(len(split), True), split.pids, split.camids),
        dict(sorted(Counter(word for word in split.modality or () if word).items())),
    )


def _different(numbers: np.ndarray | None, wanted: np.ndarray, *within: np.ndarray) -> int:
    """How many different numbers [N] the wanted images have; the same number within another person is another one."""
    if numbers is None:
        return 0
    rows = np.stack([*within, numbers], axis=1)
    return len(np.unique(rows[wanted & (numbers != UNKNOWN)], axis=0))


def count_cameras(split: Split, cameras: int) -> list[int]:
    """Images of each camera from 0 to `cameras` - 1, junk apart."""
    kept = split.camids[(split.pids != JUNK) & (split.camids != UNKNOWN_CAMERA)]
    return [int(number) for number in np.bincount(kept, minlength=cameras)[:cameras]]
