"""Published counts of a data set, and how reliable they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .hidden import UNKNOWN_CAMERA
from .morelabels import UNKNOWN
from .split import DISTRACTOR, JUNK, Split

WORDS = ("images", "identities", "cameras")
MORE_WORDS = ("outfits", "tracklets")  # of sets with these labels, like images per modality


@dataclass(frozen=True)
class Counts:
    """Counts of one split; None if unpublished. `unverified` names the counts that may be wrong.

    Images include junk (pid -1). Identities exclude junk and count all distractors (pid 0) as one, which gives
    Market-1501's gallery 751. Unknown cameras do not count. Outfits are counted over all persons (pid from 1), so two
    persons in the same clothes have two. Tracklets include those of junk and distractors. `modality` has the number of
    images per modality ("visible", "infrared"); for all of them `unverified` uses the word "modality".
    """

    images: int | None = None
    identities: int | None = None
    cameras: int | None = None
    unverified: frozenset[str] = frozenset()
    outfits: int | None = None
    tracklets: int | None = None
    modality: Mapping[str, int] = field(default_factory=dict)

    def doubted(self, *words: str) -> Counts:
        """Return the counts with these (by default all) marked as unverified."""
        return replace(self, unverified=frozenset(words or (*WORDS, *MORE_WORDS, "modality")))

    def numbers(self) -> dict[str, tuple[int, str]]:
        """(count, its word in `unverified`) of each published count, by its name in sentences."""
        found = {word: (number, word) for word in (*WORDS, *MORE_WORDS) if (number := getattr(self, word)) is not None}
        return found | {f"{word} images": (number, "modality") for word, number in self.modality.items()}


@dataclass(frozen=True)
class Published:
    """Published counts of a data set, by split (train, query, gallery), and their source.

    The split `all` is the union, for sets with published totals only; `validation` is the validation part that some
    sets ship. `per_camera` is the number of images of each camera, from camera 0, without junk: it shows where files
    are missing. `alternatives` are numbers of images per split that identify another version, with a sentence that
    explains it.
    """

    parts: Mapping[str, Counts]
    source: str
    per_camera: Mapping[str, Sequence[int]] = field(default_factory=dict)
    alternatives: Sequence[tuple[str, Mapping[str, int]]] = ()

    def doubted(self) -> Published:
        """Return the counts with every number marked as unverified."""
        parts = {part: counts.doubted() for part, counts in self.parts.items()}
        return Published(parts, self.source, {}, self.alternatives)


@dataclass(frozen=True)
class Found:
    """Counts of a split, as in Counts, and the numbers of junk and distractor images."""

    images: int = 0
    identities: int = 0
    cameras: int = 0
    junk: int = 0
    distractors: int = 0
    outfits: int = 0
    tracklets: int = 0
    modality: Mapping[str, int] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether any image has an identity; in a split without labels, all pids are 0."""
        return self.images > self.junk + self.distractors

    def number(self, what: str) -> int:
        """The count by its name in Counts.numbers: "images", "outfits", "infrared images"."""
        if what in (*WORDS, *MORE_WORDS):
            return int(getattr(self, what))
        return self.modality.get(what.removesuffix(" images"), 0)


def count(split: Split) -> Found:
    """Count a split by the definitions of Counts."""
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
    """Number of distinct values in `numbers` [N] over the wanted images, counted separately `within` each group."""
    if numbers is None:
        return 0
    rows = np.stack([*within, numbers], axis=1)
    return len(np.unique(rows[wanted & (numbers != UNKNOWN)], axis=0))


def count_cameras(split: Split, cameras: int) -> list[int]:
    """Number of images of each camera from 0 to `cameras` - 1, without junk."""
    kept = split.camids[(split.pids != JUNK) & (split.camids != UNKNOWN_CAMERA)]
    return [int(number) for number in np.bincount(kept, minlength=cameras)[:cameras]]
